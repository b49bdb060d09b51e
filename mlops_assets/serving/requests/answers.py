"""Scores -> response bodies, in the form of the request."""

from collections.abc import Sequence

import msgspec

from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.requests.http import Answer, json_answer
from mlops_assets.serving.requests.tensors import REASONS, Tensor, chosen
from mlops_assets.serving.routing.router import Answerer
from mlops_assets.training.predictor import Score
from mlops_assets.training.reasons.reasons import Reasons


class Scored(msgspec.Struct, frozen=True, gc=False):
    """A row's inference id, who answered for it, and what it said."""

    inference_id: str
    by: Answerer
    score: Score


class Prediction(msgspec.Struct, omit_defaults=True):
    """What was said of one row."""

    inference_id: str
    segment: str
    model_version: str
    output: float | str
    probabilities: dict[str, float] | None = None
    decision: bool | None = None
    reasons: Reasons | None = None


class RowAnswer(Prediction, kw_only=True):
    """The answer to one plain row."""

    model_name: str


class RowsAnswer(msgspec.Struct):
    """The answer to several plain rows."""

    inference_id: str
    model_name: str
    model_version: str
    predictions: list[Prediction]


class InvocationAnswer(msgspec.Struct, omit_defaults=True):
    """The answer to MLflow's formats."""

    predictions: list[float | str]
    inference_id: str
    model_version: str
    decisions: list[bool | None] | None = None
    reasons: list[Reasons] | None = None


class Given(msgspec.Struct):
    """What OIP has no field of its own for."""

    inference_id: str


class OipAnswer(msgspec.Struct, omit_defaults=True):
    """The answer to the Open Inference Protocol."""

    model_name: str
    model_version: str
    parameters: Given
    outputs: list[Tensor]
    id: str | None = None


def answer(
    product: str, form: Form, request_id: str, rows: Sequence[Scored], reasons: list[Reasons] | None = None
) -> Answer:
    """Return the answer to a request; the versions of a batch over several models are listed with commas."""
    several = len(rows) > 1
    version = ",".join(dict.fromkeys(str(row.by.version) for row in rows)) if several else str(rows[0].by.version)
    headers = ((b"mlops-inference-id", request_id.encode()), (b"mlops-model-version", version.encode()))
    kind = form.kind
    if kind == "row":
        return json_answer(_single(product, rows[0], reasons), headers)
    if kind == "rows":
        return json_answer(RowsAnswer(request_id, product, version, _predictions(rows, reasons)), headers)
    if kind == "mlflow":
        outputs, decided = [_output(row) for row in rows], [_decision(row) for row in rows]
        decisions = None if all(each is None for each in decided) else decided
        return json_answer(InvocationAnswer(outputs, request_id, version, decisions, reasons), headers)
    given, binary = chosen([*_tensors(rows), *_reasons(reasons)], form.outputs)
    body = json_answer(OipAnswer(product, version, Given(request_id), given, form.client_id), headers)
    return _with_binary(body, binary) if binary else body


def _with_binary(answer: Answer, binary: bytes) -> Answer:
    length = (b"inference-header-content-length", str(len(answer.body)).encode())
    return Answer(answer.status, answer.body + binary, (*answer.headers, length), b"application/octet-stream")


def _single(product: str, row: Scored, reasons: list[Reasons] | None) -> RowAnswer:
    return RowAnswer(*_fields(row), reasons[0] if reasons else None, model_name=product)


def _predictions(rows: Sequence[Scored], reasons: list[Reasons] | None) -> list[Prediction]:
    if reasons is None:
        return [Prediction(*_fields(row)) for row in rows]
    return [Prediction(*_fields(row), why) for row, why in zip(rows, reasons, strict=True)]


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


def _tensors(rows: Sequence[Scored]) -> list[Tensor]:
    shape = [len(rows)]
    if rows[0].score.probabilities is None:
        decided = [made for row in rows if (made := _decision(row)) is not None]
        decisions = [Tensor("decision", "BOOL", shape, data=decided)] if len(decided) == len(rows) else []
        return [Tensor("output", "FP64", shape, data=[row.score.output for row in rows]), *decisions]
    classes = [str(_output(row)) for row in rows]
    every = [share for row in rows for share in row.score.probabilities or ()]
    return [
        Tensor("output", "BYTES", shape, data=classes),
        Tensor("probabilities", "FP64", [*shape, len(every) // len(rows)], data=every),
    ]


def _reasons(reasons: list[Reasons] | None) -> list[Tensor]:
    """Return the contributions, shape (rows, features), the features' names, and each row's base."""
    if reasons is None:
        return []
    names = list(reasons[0].features)
    parts = [part for why in reasons for part in why.features.values()]
    return [
        Tensor(REASONS[0], "FP64", [len(reasons), len(names)], data=parts),
        Tensor(REASONS[1], "BYTES", [len(names)], data=names),
        Tensor(REASONS[2], "FP64", [len(reasons)], data=[why.base for why in reasons]),
    ]
