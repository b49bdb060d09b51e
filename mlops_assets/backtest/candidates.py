"""A window -> the model that the product's trainer makes of it, scored and judged on everything that came later, once.

Nothing is registered, promoted or written into the evidence. The model is the recorded one where its recipe has a
record; else the training step makes it here, and forgets it. What it was worth is kept in a file of its own, so that a
backtest that is stopped goes on where it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from mlops_assets.backtest.history import History, Window, rows_of
from mlops_assets.backtest.judged import Answered, Signal, signals
from mlops_assets.evidence.archive import Archive, Built
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Recipe, Struct, canonical, digest
from mlops_assets.evidence.step import NotReady
from mlops_assets.evidence.store import replace
from mlops_assets.registry.criteria.worth import acts_from, amounts
from mlops_assets.settings import Settings
from mlops_assets.training.built import KEYS
from mlops_assets.training.metrics import metric_named
from mlops_assets.training.model import ModelSpec, decode_spec, label_codes, to_matrix
from mlops_assets.training.reference import Reference, logged_scores
from mlops_assets.training.step import ModelStep
from mlops_assets.training.trainers import load_predictor


class Candidate(Struct, frozen=True, kw_only=True):
    """A window's model. `quality` is the gate's metric in each period (None where it cannot serve, or is undefined).

    `rows` are the labelled rows of each period, `worth` is the declared money, `seconds` is what the training took when
    it was made; `problem` says why there is no model.
    """

    window: str
    problem: str = ""
    reused: bool = False
    seconds: float = 0.0
    importance: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    quality: list[float | None] = msgspec.field(default_factory=list["float | None"])
    rows: list[int] = msgspec.field(default_factory=list[int])
    worth: list[float] = msgspec.field(default_factory=list[float])
    signals: list[Signal] = msgspec.field(default_factory=list[Signal])


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What of a trained model is needed to replay it."""

    spec: ModelSpec
    data: bytes
    reference: Reference
    seconds: float
    reused: bool


def candidate(history: History, settings: Settings, place: int, kept: Path) -> Candidate:
    """Return the model of the window at `place` and what it was worth, from the folder `kept` if it is there."""
    archive, window = Archive(settings.home), history.windows[place]
    step = ModelStep(product=history.product, archive=archive, settings=settings)
    try:
        prepared = step.prepare(f"{history.segment}|{window.key}")
    except NotReady as problem:
        return Candidate(window=window.key, problem=str(problem))
    path = kept / f"{_key(history, prepared.recipe)}.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Candidate)
    try:
        model = _recorded(archive, prepared.recipe) or _made(prepared.build)
        found = _replayed(history, archive, place, model)
    except NotReady as problem:
        found = Candidate(window=window.key, problem=str(problem))
    replace(path, msgspec.json.encode(found))
    return found


def _key(history: History, recipe: Recipe) -> str:
    """Return what names all that a candidate's worth depends on."""
    product = history.product
    declared = product.model_dump(mode="json", include={"gate", "value", "label", "monitor", "windows"})
    later = [window.root for window in history.windows]
    return digest(canonical([recipe.id, later, declared, code_id("mlops_assets.backtest.candidates")]))


def _recorded(archive: Archive, recipe: Recipe) -> Model | None:
    held = archive.made(recipe)
    if held is None:
        return None
    return Model(
        spec=decode_spec(archive.data(held, "spec")),
        data=archive.data(held, "model"),
        reference=msgspec.json.decode(archive.data(held, "reference"), type=Reference),
        seconds=float(held.envelope.duration_s),
        reused=True,
    )


def _made(build: Callable[[], Built]) -> Model:
    began = perf_counter()
    made = build().outputs
    seconds = perf_counter() - began
    files = {name: output[0] for name, output in made.items() if isinstance(output, tuple)}
    return Model(
        spec=decode_spec(files["spec"]),
        data=files["model"],
        reference=msgspec.json.decode(files["reference"], type=Reference),
        seconds=seconds,
        reused=False,
    )


def _replayed(history: History, archive: Archive, place: int, model: Model) -> Candidate:
    """Return what a model was worth in every period from where it could serve, and what was said of it."""
    since = history.windows[place].ready
    seen = {i: _answered(archive, i, each, model) for i, each in enumerate(history.windows) if each.end > since}
    served = [
        seen[period.window].between(period.start, period.end) if period.start >= since else None
        for period in history.periods
    ]
    judged = [rows.between(since, rows.window.end) for rows in seen.values()]
    return Candidate(
        window=history.windows[place].key,
        reused=model.reused,
        seconds=round(model.seconds, 3),
        importance=model.spec.importance,
        quality=[_quality(history, rows) if rows else None for rows in served],
        rows=[int(np.isfinite(rows.codes).sum()) if rows else 0 for rows in served],
        worth=[_worth(history, rows) if rows else 0.0 for rows in served],
        signals=list(signals(history.product, model.reference, model.spec.importance, judged)),
    )


def _answered(archive: Archive, place: int, window: Window, model: Model) -> Answered:
    rows = rows_of(archive, window)
    features = rows.drop(KEYS)
    scores = load_predictor(model.spec, model.data)(to_matrix(features, model.spec))
    return Answered(
        place=place,
        window=window,
        features=features,
        times=rows["_time"],
        codes=label_codes(rows["_label"], model.spec),
        scores=scores,
        logged=logged_scores(scores),
    )


def _quality(history: History, rows: Answered) -> float | None:
    gate, task = history.product.gate, history.product.label.kind
    known = np.isfinite(rows.codes)
    value = float(metric_named(task, gate.metric)(rows.codes[known], rows.scores[known], None))
    return value if np.isfinite(value) else None


def _worth(history: History, rows: Answered) -> float:
    known = np.isfinite(rows.codes)
    value, decide = history.product.value, history.product.decide
    if value is None or not known.any():
        return 0.0
    threshold = acts_from(decide.threshold if decide else None, value)
    return float(amounts(value, rows.codes[known], rows.logged[known], threshold).sum())
