"""The Open Inference Protocol v2: tensors -> rows, one tensor per column, as JSON or in Triton's binary extension.

https://github.com/open-inference/open-inference-protocol, and Triton's docs/protocol/extension_binary_data.md.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple, cast

import msgspec
import numpy as np

from mlops_assets.serving.requests.refusal import Refused, counted, told

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


class Output(msgspec.Struct):
    """One output that is asked for."""

    name: str
    parameters: dict[str, object] = {}


class OipRequest(msgspec.Struct):
    """The body of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, object] = {}
    outputs: list[Output] = []


class Outputs(NamedTuple):
    """The outputs asked for by name, each with whether it comes binary; without names all come, as `binary` says."""

    named: dict[str, bool]
    binary: bool


ALL_OUTPUTS = Outputs({}, False)


def wanted_outputs(request: OipRequest) -> Outputs:
    """Return which outputs a request asks for.

    Raises:
        Refused: If it asks for one twice, or in a way that is not known.
    """
    if not request.outputs and "binary_data_output" not in request.parameters:
        return ALL_OUTPUTS
    binary = _flag(request.parameters.get("binary_data_output", False), "parameter 'binary_data_output'")
    named: dict[str, bool] = {}
    for output in request.outputs:
        where = f"output {output.name!r}"
        if output.name in named:
            raise Refused(422, f"{where} is asked for twice")
        if unknown := [name for name in output.parameters if name != "binary_data"]:
            raise Refused(422, f"{where}: parameter {unknown[0]!r} is not known; right is 'binary_data'")
        named[output.name] = _flag(output.parameters.get("binary_data", binary), f"{where}: parameter 'binary_data'")
    return Outputs(named, binary)


def oip_rows(request: OipRequest, binary: bytes, most: int) -> list[object]:
    """Return the request's rows as objects.

    Raises:
        Refused: If a tensor is not one column, has more than `most` rows, or other values than its shape says.
    """
    columns: dict[str, list[object]] = {}
    height: int | None = None
    at = 0
    for tensor in request.inputs:
        rows = _height(tensor)
        counted(rows, most)
        if tensor.name in columns:
            raise Refused(422, f"tensor {tensor.name!r} is there twice")
        if height not in (None, rows):
            raise Refused(422, f"tensor {tensor.name!r} has {rows} rows, the ones before it {height}")
        size = _binary_size(tensor, len(binary) - at)
        values = list(_flat(tensor.data or [])) if size is None else _binary(tensor, binary[at : at + size])
        at += size or 0
        if len(values) != rows:
            raise Refused(
                422, f"tensor {tensor.name!r} has {len(values)} values, but its shape {tensor.shape} says {rows}"
            )
        columns[tensor.name], height = values, rows
    if at != len(binary):
        raise Refused(422, f"the tensors take {at} bytes of the {len(binary)} that follow the JSON")
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


def _binary_size(tensor: Tensor, left: int) -> int | None:
    """Return how many bytes of the binary part are the tensor's, None if its values are in the JSON."""
    size = tensor.parameters.get("binary_data_size")
    if size is None and tensor.data is not None:
        return None
    if size is None:
        raise Refused(422, f"tensor {tensor.name!r} has no values; right is `data`, or parameter 'binary_data_size'")
    if tensor.data is not None:
        raise Refused(422, f"tensor {tensor.name!r} has both `data` and 'binary_data_size'; right is one of them")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
        raise Refused(
            422, f"tensor {tensor.name!r}: binary_data_size is {told(size)}; right is 0 to {left}, the bytes left"
        )
    return size


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(422, f"{what} is {told(value)}; right is true or false")
    return value


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


def _texts(data: bytes) -> Iterator[str | bytes]:
    """Yield texts that each follow their length in 4 bytes; what is no UTF-8, such as an image's file, as bytes."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        at += 4 + length
        if at > len(data):
            raise ValueError("a text ends beyond the data")
        element = data[at - length : at]
        try:
            yield element.decode()
        except UnicodeDecodeError:
            yield element
