"""A model's answers to later rows -> what the tests of the live loop say of each window, and when they could say it.

Three of them: inputs and predictions of a monitoring window, known when it ends; its loss, known when its labels are;
and, once a training window's labels are known, whether a correction learned from it would mend the answers. Evidence is
carried from window to window as in the loop, from the first window that the model could serve.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.backtest.history import Window, known_at
from mlops_assets.detection.drift import judge
from mlops_assets.detection.loss import LossEvidence, judge_loss
from mlops_assets.detection.relation import RelationEvidence, judge_relation
from mlops_assets.detection.sequence import Evidence
from mlops_assets.detection.verdict import State, Verdict
from mlops_assets.evidence.records import Struct, digest
from mlops_assets.product import ModelProduct
from mlops_assets.retraining.alarms import Alarm, alarm_of
from mlops_assets.training.bins import count
from mlops_assets.training.reference import PREDICTION, Reference, logged_losses

Source = Literal["inputs", "loss", "relation"]
SUREST, HEAVIEST = 1e-4, 4  # p-value, and how often the declared importance, that the strictest policy asks for

Floats = NDArray[np.float64]


class Signal(Struct, frozen=True, kw_only=True):
    """A verdict on a window of a model, and when it was known. `place` is that of the training window it lies in."""

    source: Source
    window: str
    place: int
    known: datetime
    state: State
    p_value: float | None
    alarm: Alarm | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Answered:
    """Rows of a later window, as a model sees them: `logged` is the one number that the log keeps of a score."""

    place: int
    window: Window
    features: pl.DataFrame
    times: pl.Series
    codes: Floats
    scores: Floats
    logged: Floats

    def windows(self, product: ModelProduct) -> pl.Series:
        """Return the monitoring window of each row."""
        return product.grid.keys_of(self.times)

    def between(self, start: datetime, end: datetime) -> "Answered":
        """Return the rows of a stretch of time."""
        return self.where(((self.times >= start) & (self.times < end)).to_numpy())

    def where(self, chosen: NDArray[np.bool_]) -> "Answered":
        """Return some of the rows."""
        return replace(
            self,
            features=self.features.filter(chosen),
            times=self.times.filter(pl.Series(chosen)),
            codes=self.codes[chosen],
            scores=self.scores[chosen],
            logged=self.logged[chosen],
        )


def signals(
    product: ModelProduct, reference: Reference, importance: Mapping[str, float], later: Sequence[Answered]
) -> Iterator[Signal]:
    """Yield what is said of a model in the windows that it could serve, `later`, oldest first.

    An alarm stays open until a training answers it. So a test that has given an alarm which every compared policy heeds
    is not asked again: nothing that it could say would change what a policy does.
    """
    for said in (_of_inputs(product, reference, later), _of_losses(product, reference, later)):
        for signal in said:
            yield signal
            if signal.alarm and (signal.p_value or 0.0) <= SUREST and _heavy(signal.alarm, product, importance):
                break
    yield from _of_relations(product, later)


def _heavy(alarm: Alarm, product: ModelProduct, importance: Mapping[str, float]) -> bool:
    moved = sum(importance.get(column, 0.0) for column in alarm.columns)
    return alarm.kind == "concept" or moved >= HEAVIEST * product.retrain.importance


def _of_inputs(product: ModelProduct, reference: Reference, later: Sequence[Answered]) -> Iterator[Signal]:
    carried: Evidence | None = None
    for key, rows in _monitored(product, later):
        phase = product.grid.phase(key) if reference.phases else None
        seen = rows.features.with_columns(pl.Series(PREDICTION, rows.logged))
        found = judge(count(seen, reference.bins), reference, phase=phase, carried=carried)
        carried = found.evidence
        yield _signal(product, "inputs", key, rows.place, found.verdict)


def _of_losses(product: ModelProduct, reference: Reference, later: Sequence[Answered]) -> Iterator[Signal]:
    carried: LossEvidence | None = None
    for key, rows in _monitored(product, later):
        known = np.isfinite(rows.codes)
        lost = logged_losses(product.label.kind, rows.codes[known], rows.logged[known])
        found = judge_loss(lost, len(known), reference.loss, carried=carried)
        carried = found.evidence
        yield _signal(product, "loss", key, rows.place, found.verdict)


def _of_relations(product: ModelProduct, later: Sequence[Answered]) -> Iterator[Signal]:
    carried: RelationEvidence | None = None
    for each in later:
        rows = each.where(np.isfinite(each.codes))
        blocks = rows.windows(product).rank("dense").to_list()
        found = judge_relation(rows.features, rows.codes, rows.logged, blocks, product.label.kind, carried=carried)
        carried = found.evidence
        yield _about(rows, found.verdict)


def _monitored(product: ModelProduct, later: Sequence[Answered]) -> Iterator[tuple[str, Answered]]:
    """Yield the rows of each monitoring window."""
    for rows in later:
        keys = rows.windows(product)
        for key in keys.unique(maintain_order=True):
            yield key, rows.where((keys == key).to_numpy())


def _about(rows: Answered, verdict: Verdict) -> Signal:
    """Return what is said of a whole training window."""
    window = rows.window
    identity = digest(f"relation {window.key}".encode())
    return Signal(
        source="relation",
        window=window.key,
        place=rows.place,
        known=window.ready,
        state=verdict.state,
        p_value=verdict.p_value,
        alarm=alarm_of(verdict, record=identity, window=window.key, start=window.start, end=window.end),
    )


def _signal(product: ModelProduct, source: Source, key: str, place: int, verdict: Verdict) -> Signal:
    start, end = product.grid.bounds(key)
    identity = digest(f"{source} {key}".encode())
    return Signal(
        source=source,
        window=key,
        place=place,
        known=end if source == "inputs" else known_at(product.grid, end, product.label.delay),
        state=verdict.state,
        p_value=verdict.p_value,
        alarm=alarm_of(verdict, record=identity, window=key, start=start, end=end),
    )
