"""The Open Inference Protocol v2: tensors -> rows, one tensor per column, as JSON or in Triton's binary extension."""

import struct
from collections.abc import Iterator
from typing import cast

import msgspec
import numpy as np

from mlops_assets.serving.requests.refusal import Refused, told

_DTYPES = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_TEXT = "BYTES"
DATATYPES = {"int": "INT64", "float": "FP64", "bool": "BOOL", "str": _TEXT, "datetime": _TEXT, "image": _TEXT}


class Tensor(msgspec.Struct):
    """One column of a request. `data` is flat or nested; without it, the values are in the binary part."""

    name: str
    shape: list[int]
    datatype: str
    data: list[object] | None = None
    parameters: dict[str, object] = {}


class OipRequest(msgspec.Struct):
    """The body of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, object] = {}
    outputs: list[object] = []


def oip_rows(request: OipRequest, binary: bytes) -> list[object]:
    """Return the request's rows as objects.

    Raises:
        Refused: If a tensor is not one column, or its values are not as many as its shape says; it names the tensor.
    """
    columns: dict[str, list[object]] = {}
    height: int | None = None
    at = 0
    for tensor in request.inputs:
        rows = _height(tensor)
        if tensor.name in columns:
            raise Refused(422, f"tensor {tensor.name!r} is there twice")
        if height not in (None, rows):
            raise Refused(422, f"tensor {tensor.name!r} has {rows} rows, the ones before it {height}")
        size = tensor.parameters.get("binary_data_size")
        if isinstance(size, int) and tensor.data is None:
            values = _binary(tensor, binary[at : at + size])
            at += size
        else:
            values = list(_flat(tensor.data or []))
        if len(values) != rows:
            raise Refused(
                422, f"tensor {tensor.name!r} has {len(values)} values, but its shape {tensor.shape} says {rows}"
            )
        columns[tensor.name], height = values, rows
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _height(tensor: Tensor) -> int:
    if tensor.datatype != _TEXT and tensor.datatype not in _DTYPES:
        known = ", ".join([*_DTYPES, _TEXT])
        raise Refused(422, f"tensor {tensor.name!r} is of datatype {told(tensor.datatype)}; right is one of {known}")
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[0] < 0 or (len(shape) == 2 and shape[1] != 1):
        raise Refused(
            422, f"tensor {tensor.name!r} has shape {shape}; right is [rows] or [rows, 1], a tensor per column"
        )
    return shape[0]


def _flat(data: list[object]) -> Iterator[object]:
    for value in data:
        if isinstance(value, list):
            yield from cast("list[object]", value)
        else:
            yield value


def _binary(tensor: Tensor, data: bytes) -> list[object]:
    try:
        if tensor.datatype == _TEXT:
            return list(_texts(data))
        return np.frombuffer(data, dtype=_DTYPES[tensor.datatype]).tolist()
    except (ValueError, struct.error) as error:
        raise Refused(422, f"tensor {tensor.name!r}: its binary data is no {tensor.datatype}: {error}") from error


def _texts(data: bytes) -> Iterator[str]:
    """Yield texts that each follow their length in 4 bytes."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        if at > len(data):
            raise ValueError("a text ends beyond the data")
        yield data[at - length : at].decode()
