"""Predictions and the labels that have come in -> quality with its maturity, and the verdict on their relation.

Only labels show that the relation between inputs and outcome has changed: inputs can stay as they are while every
answer becomes wrong. So there is no verdict before enough labels have matured, and the words say so.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.detection.verdict import ColumnShift, State, Verdict
from mlops_assets.evidence.records import Struct
from mlops_assets.training.metrics import measure
from mlops_assets.training.model import ModelSpec, label_codes, label_names
from mlops_assets.training.reference import LOSS, LossReference, logged_losses

ALPHA = 0.01
FEWEST_LABELS = 50
MATURE = 0.8
LATE = "concept drift cannot be seen before labels mature"

Floats = NDArray[np.float64]


class Quality(Struct, frozen=True, kw_only=True):
    """How good a window's predictions were. `share` of rows has a label; `foreign` labels are no class of the model.

    Metrics are by name, in the units of `training.metrics`; those that are not defined (no labels yet, AUC of a single
    class) are left out.
    """

    rows: int
    matured: int
    foreign: int
    share: float
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """Quality, and the loss of each matured row, shape (matured,)."""

    quality: Quality
    losses: Floats


def with_labels(
    predictions: pl.DataFrame, *, outcomes: pl.DataFrame | None = None, labels: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return `predictions` with a text column `label`, null where none is known yet.

    `outcomes` (inference_id, label, received_at) count before `labels` (key, label), since they name the very
    prediction; of several outcomes the last received counts, of several labels of one key the last row.
    """
    joined = predictions
    if outcomes is not None and outcomes.height:
        last = outcomes.sort("received_at", maintain_order=True).unique("inference_id", keep="last")
        by_id = last.select("inference_id", label_names(last["label"]).alias("_by_id"))
        joined = joined.join(by_id, on="inference_id", how="left", maintain_order="left")
    if labels is not None and labels.height:
        known = labels.drop_nulls(["key", "label"]).unique("key", keep="last", maintain_order=True)
        by_key = known.select(pl.col("key").cast(pl.String), label_names(known["label"]).alias("_by_key"))
        joined = joined.join(by_key, on="key", how="left", maintain_order="left")
    found = [name for name in ("_by_id", "_by_key") if name in joined.columns]
    label = pl.coalesce(found) if found else pl.lit(None, dtype=pl.String)
    return joined.with_columns(label=label).drop(found)


def performance(labelled: pl.DataFrame, spec: ModelSpec) -> Performance:
    """Return quality and losses of predictions with `output` and `label` (as `with_labels` returns them)."""
    codes = label_codes(labelled["label"], spec)
    known = np.isfinite(codes)
    matured = int(known.sum())
    given = labelled.height - labelled["label"].null_count()
    outputs = labelled["output"].to_numpy()[known]
    quality = Quality(
        rows=labelled.height,
        matured=matured,
        foreign=given - matured,
        share=matured / labelled.height if labelled.height else 0.0,
        metrics=_metrics(spec, codes[known], outputs) if matured else {},
    )
    return Performance(quality=quality, losses=logged_losses(spec.task, codes[known], outputs))


def concept_verdict(found: Performance, reference: LossReference | None) -> Verdict:
    """Return whether the live loss is above the held-out loss: one-sided Welch test, windows' own spread included."""
    quality, losses = found.quality, found.losses
    if problem := _too_few(quality, reference):
        words = f"cannot tell: {problem}; {LATE}"
        return _concept("cannot tell", None, quality, words)
    assert reference is not None
    live, sd = float(losses.mean()), float(losses.std(ddof=1))
    p_value = _welch(live, sd, len(losses), reference)
    numbers = f"loss {live:.3g} on {len(losses):,} matured rows, {reference.mean:.3g} held out"
    if p_value > ALPHA:
        return _concept("ok", p_value, quality, f"no concept drift: {numbers}")
    effect = (live - reference.mean) / reference.sd if reference.sd else float("inf")
    shift = ColumnShift(column=LOSS, effect=round(effect, 6), unit="sd", p_value=p_value, words=numbers)
    words = f"concept drift: {numbers} (p = {p_value:.1g}); {LATE}"
    return _concept("drift", p_value, quality, words, (shift,))


def _too_few(quality: Quality, reference: LossReference | None) -> str | None:
    if reference is None or reference.rows < FEWEST_LABELS:
        return f"{reference.rows if reference else 0} held-out losses, needs {FEWEST_LABELS}"
    if quality.share < MATURE:
        return f"{quality.share:.0%} of {quality.rows:,} rows have a label, needs {MATURE:.0%}"
    if quality.matured < FEWEST_LABELS:
        return f"{quality.matured} matured labels, needs {FEWEST_LABELS}"
    return None


def _welch(live: float, sd: float, rows: int, reference: LossReference) -> float:
    """Return the one-sided p-value of a higher live mean (Welch, Biometrika 34, 1947)."""
    from scipy.special import stdtr  # pyright: ignore[reportMissingTypeStubs]

    of_live, of_reference = sd**2 / rows + reference.between**2, reference.sd**2 / reference.rows
    variance = of_live + of_reference
    if variance == 0:
        return 0.0 if live > reference.mean else 1.0
    freedom = variance**2 / (of_live**2 / (rows - 1) + of_reference**2 / (reference.rows - 1))
    return float(stdtr(freedom, (reference.mean - live) / sqrt(variance)))


def _concept(
    state: State, p_value: float | None, quality: Quality, words: str, columns: tuple[ColumnShift, ...] = ()
) -> Verdict:
    return Verdict(
        state=state, kind="concept", p_value=p_value, columns=columns, rows=quality.matured, windows=0, words=words
    )


def _metrics(spec: ModelSpec, labels: Floats, outputs: Floats) -> dict[str, float]:
    if spec.task == "multiclass":
        return {"accuracy": float((labels == outputs).mean())}
    found = measure(spec.task, labels, outputs)
    if spec.task == "binary":
        found |= _hits(labels == 1, outputs >= 0.5)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _hits(positive: NDArray[np.bool_], called: NDArray[np.bool_]) -> dict[str, float]:
    both = float((positive & called).sum())
    return {
        name: both / whole
        for name, whole in (("precision", float(called.sum())), ("recall", float(positive.sum())))
        if whole
    }
