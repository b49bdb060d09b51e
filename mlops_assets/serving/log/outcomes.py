"""Outcomes, the labels that come late: filed by inference id under the window of the prediction, and kept for good."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl

from mlops_assets.serving.log.frames import FrameFile, mapped, pack, read_frames
from mlops_assets.serving.log.ids import InferenceId, parse, time_of
from mlops_assets.serving.log.index import canonical
from mlops_assets.serving.requests.refusal import Problem, Refused, bad_rows, told
from mlops_assets.serving.routing.router import Table
from mlops_assets.windows import Grid

MAX_OUTCOMES = 10_000
FORM = '{"outcomes": [{"inference_id": "…", "label": …}, …]}'
SCHEMA: dict[str, pl.DataType] = {
    "inference_id": pl.String(),
    "label": pl.String(),
    "received_at": pl.Datetime("us", "UTC"),
    "by": pl.String(),
}


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    inference_id: object
    label: object


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    outcomes: list[_Given]


class _Filed(msgspec.Struct, frozen=True):
    """What a frame's body says: who reported, and (inference id, label) of each outcome."""

    by: str
    filed: list[tuple[str, str]]


_decoder = msgspec.json.Decoder(_Body)
_filed = msgspec.msgpack.Decoder(_Filed | list[tuple[str, str]])  # a list alone: from before anybody was asked


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What a label may be: one of `classes`, or a number, or (neither said) any text, int or bool."""

    classes: tuple[str, ...] = ()
    number: bool = False

    def read(self, value: object) -> str | None:
        """Return the label as text, or None if it is none of these."""
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if value is None or isinstance(value, list | dict):
            return None
        if self.number:
            return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        label = str(value).lower() if isinstance(value, bool) else str(value)
        return label if not self.classes or label in self.classes else None

    def __str__(self) -> str:
        """Return in words what a label may be."""
        if self.number:
            return "a number"
        return f"one of {', '.join(map(repr, self.classes))}" if self.classes else "text, an int or a bool"


def labels_of(kind: Literal["binary", "multiclass", "regression"], table: Table) -> Labels:
    """Return what a product's labels may be; a multiclass label may be of a class that no model has seen yet."""
    if kind != "binary":
        return Labels(number=kind == "regression")
    classes = (name for by in table.answerers.values() for name in by.model.spec.classes)
    return Labels(classes=tuple(dict.fromkeys(classes)))


def read_outcomes(body: bytes, labels: Labels) -> list[tuple[InferenceId, str]]:
    """Return ids and labels.

    Raises:
        Refused: 4xx naming each outcome that is ill-formed.
    """
    try:
        given = _decoder.decode(body).outcomes
    except msgspec.ValidationError as error:
        raise Refused(422, f"{error}; right is {FORM}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}; right is {FORM}") from error
    if len(given) > MAX_OUTCOMES:
        raise Refused(413, f"the body holds {len(given)} outcomes; right is {MAX_OUTCOMES} or fewer")
    problems: list[Problem] = []
    read = [_one(at, each, labels, problems) for at, each in enumerate(given)]
    if problems:
        raise bad_rows(problems)
    return [each for each in read if each is not None]


def filed_outcomes(folder: Path, grid: Grid, read: list[tuple[InferenceId, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return (inference id, label) by the window of the prediction.

    Raises:
        Refused: 422 naming the ids that the product at `folder` never gave out.
    """
    names = canonical(folder, grid, (each for each, _ in read))
    right = "an id from header mlops-inference-id; <id>.<row> for a row of a batch"
    problems: list[Problem] = []
    windows: dict[str, list[tuple[str, str]]] = {}
    for at, (each, label) in enumerate(read):
        if (name := names[each]) is None:
            problems.append(
                Problem(row=at, field="inference_id", found=f"{each}, which was never given out", right=right)
            )
        else:
            windows.setdefault(grid.key(time_of(each.request)), []).append((name, label))
    if problems:
        raise bad_rows(problems)
    return windows


class OutcomeLog:
    """The outcomes that one worker received: a frame per request and window of its predictions."""

    def __init__(self, folder: Path, writer: str) -> None:
        """Write to `<folder>/<window>/<writer>.log`."""
        self._folder = folder
        self._writer = writer
        self._seq = 0

    def append(self, id_: bytes, windows: Mapping[str, list[tuple[str, str]]], by: str = "api") -> None:
        """File outcomes that `by` reported, received at the time of `id_`.

        Raises:
            LogRefused: If the disk is full; sending the same outcomes again does no harm.
        """
        for window, filed in windows.items():
            file = FrameFile(self._folder / window / f"{self._writer}.log")
            try:
                file.append(pack(self._seq, id_, msgspec.msgpack.encode(_Filed(by, filed))))
            finally:
                file.close()
            self._seq += 1


def outcomes(folder: Path, window: str) -> pl.DataFrame:
    """Return the newest outcome of each prediction of `window`; `received_at` is by the endpoint's clock."""
    rows = [row for path in sorted((folder / "outcomes" / window).glob("*.log")) for row in _rows(path)]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("inference_id", "received_at", maintain_order=True)
    return frame.unique("inference_id", keep="last", maintain_order=True)


def _one(at: int, given: _Given, labels: Labels, problems: list[Problem]) -> tuple[InferenceId, str] | None:
    label = labels.read(given.label)
    if label is None:
        problems.append(Problem(row=at, field="label", found=told(given.label), right=str(labels)))
    try:
        found = parse(given.inference_id) if isinstance(given.inference_id, str) else None
    except ValueError:
        found = None
    if found is None:
        right = "a UUIDv7, or <UUIDv7>.<row>"
        problems.append(Problem(row=at, field="inference_id", found=told(given.inference_id), right=right))
    return None if found is None or label is None else (found, label)


def _rows(path: Path) -> Iterable[tuple[object, ...]]:
    for frame in read_frames(mapped(path)).frames:
        found = _filed.decode(frame.body)
        by, filed = (found.by, found.filed) if isinstance(found, _Filed) else ("api", found)
        for inference_id, label in filed:
            yield inference_id, label, time_of(frame.id), by
