"""Scores -> response bodies, in the form of the request."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from mlops_assets.serving.requests.forms import Kind
from mlops_assets.serving.requests.http import Answer, json_answer
from mlops_assets.serving.routing.router import Answerer
from mlops_assets.training.predictor import Score


class Scored(NamedTuple):
    """A row's inference id, who answered for it, and what it said."""

    inference_id: str
    by: Answerer
    score: Score


class _Prediction(msgspec.Struct, omit_defaults=True):
    inference_id: str
    segment: str
    model_version: str
    output: float | str
    probabilities: dict[str, float] | None = None
    decision: bool | None = None


class _Single(_Prediction, kw_only=True):
    model_name: str


class _Rows(msgspec.Struct):
    inference_id: str
    model_name: str
    model_version: str
    predictions: list[_Prediction]


class _Mlflow(msgspec.Struct, omit_defaults=True):
    predictions: list[float | str]
    inference_id: str
    model_version: str
    decisions: list[bool | None] | None = None


class _Parameters(msgspec.Struct):
    inference_id: str


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[float] | list[str] | list[bool]


class _Oip(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    parameters: _Parameters
    outputs: list[_Tensor]
    id: str | None = None


def answer(product: str, kind: Kind, request_id: str, rows: Sequence[Scored], client_id: str | None) -> Answer:
    """Return the answer to a request; the versions of a batch over several models are listed with commas."""
    version = ",".join(dict.fromkeys(str(row.by.version) for row in rows))
    headers = ((b"mlops-inference-id", request_id.encode()), (b"mlops-model-version", version.encode()))
    if kind == "row":
        return json_answer(_single(product, rows[0]), headers)
    if kind == "rows":
        return json_answer(_Rows(request_id, product, version, [_prediction(row) for row in rows]), headers)
    if kind == "mlflow":
        outputs, decided = [_output(row) for row in rows], [_decision(row) for row in rows]
        decisions = None if all(each is None for each in decided) else decided
        return json_answer(_Mlflow(outputs, request_id, version, decisions), headers)
    return json_answer(_Oip(product, version, _Parameters(request_id), _tensors(rows), client_id), headers)


def _single(product: str, row: Scored) -> _Single:
    return _Single(*_fields(row), model_name=product)


def _prediction(row: Scored) -> _Prediction:
    return _Prediction(*_fields(row))


def _fields(row: Scored) -> tuple[str, str, str, float | str, dict[str, float] | None, bool | None]:
    by = row.by
    return row.inference_id, by.segment, str(by.version), _output(row), _probabilities(row), _decision(row)


def _output(row: Scored) -> float | str:
    """Return a probability, a value, or the name of the likeliest class."""
    return row.score.output if row.score.probabilities is None else row.by.model.spec.classes[int(row.score.output)]


def _decision(row: Scored) -> bool | None:
    """Return whether the row is acted on, where the model's own threshold says it."""
    threshold = row.by.model.spec.threshold
    return None if threshold is None else row.score.output >= threshold


def _probabilities(row: Scored) -> dict[str, float] | None:
    found = row.score.probabilities
    return None if found is None else dict(zip(row.by.model.spec.classes, found, strict=True))


def _tensors(rows: Sequence[Scored]) -> list[_Tensor]:
    shape = [len(rows)]
    if rows[0].score.probabilities is None:
        decided = [made for row in rows if (made := _decision(row)) is not None]
        decisions = [_Tensor("decision", "BOOL", shape, decided)] if len(decided) == len(rows) else []
        return [_Tensor("output", "FP64", shape, [row.score.output for row in rows]), *decisions]
    classes = [str(_output(row)) for row in rows]
    every = [share for row in rows for share in row.score.probabilities or ()]
    return [
        _Tensor("output", "BYTES", shape, classes),
        _Tensor("probabilities", "FP64", [*shape, len(every) // len(rows)], every),
    ]
