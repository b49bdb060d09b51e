"""Scores -> the Open Inference Protocol's outputs: those asked for, in JSON or in Triton's binary extension."""

import struct
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from mlops_assets.serving.requests.oip import Outputs
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.model import ModelSpec

REASONS = ("reasons", "reason_names", "reason_base")

Data = Sequence[float | str | bool]


class Binary(msgspec.Struct, frozen=True):
    """How many bytes after the JSON are a tensor's."""

    binary_data_size: int


class Tensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output; a binary one has its `parameters` in the place of its data."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Binary | None = None
    data: Data | None = None


def output_names(spec: ModelSpec) -> tuple[str, ...]:
    """Return the outputs that a model answers with."""
    if spec.task == "multiclass":
        return ("output", "probabilities")
    return ("output",) if spec.threshold is None else ("output", "decision")


def check_outputs(outputs: Outputs, specs: Sequence[ModelSpec], *, explain: bool) -> None:
    """Check that every model has the outputs asked for.

    Raises:
        Refused: 422 naming the one that is not known, and those that are.
    """
    known = [name for name in output_names(specs[0]) if all(name in output_names(each) for each in specs)] + list(
        REASONS if explain else ()
    )
    for name in outputs.named:
        if name not in known:
            raise Refused(422, f"no output {name!r}; known outputs: {', '.join(known)}")


def chosen(tensors: Sequence[Tensor], outputs: Outputs) -> tuple[list[Tensor], bytes]:
    """Return the outputs asked for, in the order asked for, and the bytes that follow their JSON."""
    if not outputs.named and not outputs.binary:
        return list(tensors), b""
    by_name = {tensor.name: tensor for tensor in tensors}
    wanted = outputs.named or dict.fromkeys(by_name, outputs.binary)
    given: list[Tensor] = []
    parts: list[bytes] = []
    for name, binary in wanted.items():
        tensor = by_name[name]
        if binary:
            parts.append(_bytes(tensor))
            tensor = Tensor(name, tensor.datatype, tensor.shape, Binary(len(parts[-1])))
        given.append(tensor)
    return given, b"".join(parts)


def _bytes(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        return b"".join(_texts(tensor.data or []))
    return np.array(tensor.data, dtype="?" if tensor.datatype == "BOOL" else "<f8").tobytes()


def _texts(texts: Data) -> Iterator[bytes]:
    for text in texts:
        data = str(text).encode()
        yield struct.pack("<I", len(data))
        yield data
