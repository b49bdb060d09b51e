"""JSON rows -> the values a model reads, by types made from its spec: exact, fast, and never a guess.

A bool is no int, "1" is no 1; an int may stand for a float; null only where nullable; no NaN, no infinity; a time names
its offset from UTC. An image is a file's bytes as base64, and is unpacked once to see that it is one of the right size.
Only a refused row is looked at twice, to name every field that is wrong.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from math import ceil, floor, prod
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlops_assets.serving.requests.inputs import is_object, right, shape_of, unusable
from mlops_assets.serving.requests.refusal import Problem, Refused, bad_rows, told
from mlops_assets.serving.requests.written import Written, as_json
from mlops_assets.training.model import ColumnSpec

_INT = (-(2**63), 2**63 - 1)
_LONGEST_NAME = 200  # characters of an unknown field that are repeated


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A row's values in the order of the model's inputs, and its key if it names one."""

    values: tuple[object, ...]
    key: str | None


class RowDecoder:
    """Decodes one model's rows. `key` and `segment` are request fields beside the inputs; a key may be left out.

    `pixels` says how many values the images of a row have, `row` is the type that JSON is read as.
    """

    def __init__(self, inputs: Mapping[str, ColumnSpec], *, key: str | None = None, segment: str | None = None) -> None:
        """Make the row type; fields keep their own names, whatever characters those have."""
        self._inputs = inputs
        self._types: dict[str, object] = {name: _type(spec) for name, spec in inputs.items()}
        self._looked_at = [at for at, spec in enumerate(inputs.values()) if spec.type in ("image", "datetime")]
        self.pixels = sum(prod(shape_of(spec)) for spec in inputs.values() if spec.type == "image")
        if segment is not None:
            self._types.setdefault(segment, str | int)
        self._optional = key if key is not None and key not in self._types else None
        self.row = row = _row_type(self._types, self._optional)
        names = [*self._types, *([key] if self._optional else [])]
        self._key = names.index(key) if key is not None else None
        self._json = msgspec.json.Decoder(row)
        self._rows = list[row]

    def one(self, body: bytes | msgspec.Raw) -> Decoded:
        """Return the row in a JSON object.

        Raises:
            Refused: 400 if it is no JSON, 422 naming each field that is wrong.
        """
        try:
            row = self._decoded(self._json.decode(body))
        except msgspec.ValidationError as error:
            raise self._explained([read_json(bytes(body))], [None], str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise no_json(error) from error
        if self._looked_at:
            self._look([row], [None])
        return row

    def many(self, rows: list[object], places: Sequence[int], written: Written = "json") -> list[Decoded]:
        """Return rows that are already parsed; `places` are their numbers in the request.

        Raises:
            Refused: 422 naming each row and field that is wrong.
        """
        rows = as_json(rows, written, self._inputs)
        try:
            found = [self._decoded(row) for row in msgspec.convert(rows, self._rows)]
        except msgspec.ValidationError as error:
            raise self._explained(rows, places, str(error)) from error
        self._look(found, places)
        return found

    def _decoded(self, row: msgspec.Struct) -> Decoded:
        values = msgspec.structs.astuple(row)
        key = values[self._key] if self._key is not None else None
        return Decoded(values[: len(self._inputs)], None if key is None else str(key))

    def _look(self, rows: Sequence[Decoded], places: Sequence[int | None]) -> None:
        """Check that every image decodes and has its size, and that every time is one in UTC too.

        Raises:
            Refused: 422 naming each row and field where it is not so.
        """
        specs = [(place, *list(self._inputs.items())[place]) for place in self._looked_at]
        problems = [
            Problem(row=at, field=name, found=found, right=right(spec))
            for row, at in zip(rows, places, strict=True)
            for place, name, spec in specs
            if (found := unusable(row.values[place], spec)) is not None
        ]
        if problems:
            raise bad_rows(problems)

    def _explained(self, rows: list[object], places: Sequence[int | None], error: str) -> Refused:
        problems = (found for row, place in zip(rows, places, strict=True) for found in self._problems(row, place))
        first = next(problems, None)
        return Refused(422, error) if first is None else bad_rows(chain([first], problems))

    def _problems(self, row: object, at: int | None) -> Iterator[Problem]:
        if not is_object(row):
            yield Problem(row=at, field="", found=told(row), right="an object with one field per column")
            return
        for name, type_ in self._types.items():
            if name not in row:
                yield Problem(row=at, field=name, found="nothing (missing)", right=self._right(name))
            elif not _fits(row[name], type_):
                yield Problem(row=at, field=name, found=told(row[name]), right=self._right(name))
        optional = self._optional
        if optional is not None and optional in row and not _fits(row[optional], str | int | None):
            yield Problem(row=at, field=optional, found=told(row[optional]), right=self._right(optional))
        known = {**self._types, **({optional: None} if optional else {})}
        for name in row:
            if name not in known:
                right = f"one of the known fields: {', '.join(known)}"
                yield Problem(row=at, field=name[:_LONGEST_NAME], found="an unknown field", right=right)

    def _right(self, name: str) -> str:
        return right(self._inputs[name]) if name in self._inputs else "text or an int"


def read_json(body: bytes) -> object:
    """Return any JSON value.

    Raises:
        Refused: 400 if it is no JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise no_json(error) from error


def no_json(error: Exception) -> Refused:
    """Return the refusal of a body that is no JSON."""
    return Refused(400, f"the body is no JSON: {error}; right is an object in UTF-8")


def _row_type(types: Mapping[str, object], optional: str | None) -> type[msgspec.Struct]:
    """Return a struct with fields c0, c1, … that are called by the columns' names in JSON."""
    fields: list[tuple[str, object] | tuple[str, object, object]] = [
        (f"c{i}", type_) for i, type_ in enumerate(types.values())
    ]
    names = {f"c{i}": name for i, name in enumerate(types)}
    if optional is not None:
        fields.append((f"c{len(types)}", str | int | None, None))
        names[f"c{len(types)}"] = optional
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)  # pyright: ignore


def _type(spec: ColumnSpec) -> object:
    type_ = _exact(spec)
    return type_ | None if spec.nullable else type_  # pyright: ignore


def _exact(spec: ColumnSpec) -> object:
    if spec.type == "int":
        low, high = _INT
        return Annotated[
            int,
            Meta(
                ge=low if spec.min is None else max(low, ceil(spec.min)),
                le=high if spec.max is None else min(high, floor(spec.max)),
            ),
        ]
    if spec.type == "float":  # the bounds also keep out NaN and infinity
        largest = sys.float_info.max
        return Annotated[
            float, Meta(ge=-largest if spec.min is None else spec.min, le=largest if spec.max is None else spec.max)
        ]
    if spec.type == "datetime":
        return Annotated[datetime, Meta(tz=True)]
    if spec.type in ("bool", "image"):
        return bool if spec.type == "bool" else bytes
    return Literal[tuple(spec.isin)] if spec.isin else str  # pyright: ignore


def _fits(value: object, type_: object) -> bool:
    try:
        msgspec.convert(value, type_)  # pyright: ignore
    except msgspec.ValidationError:
        return False
    return True
