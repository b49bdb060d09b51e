"""Predictions and the labels that have come in -> quality with its maturity, and the losses that a verdict rests on."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.detection.loss import MATURE, too_few
from mlops_assets.evidence.records import Struct
from mlops_assets.monitoring.quality import measured
from mlops_assets.monitoring.value import worth
from mlops_assets.parts import Value
from mlops_assets.registry.criteria.worth import acts_from
from mlops_assets.serving.log.sealed import PROBABILITY
from mlops_assets.training.intervals import Measured
from mlops_assets.training.model import ModelSpec, label_codes
from mlops_assets.training.reference import FEWEST, logged_losses

MATURE_FROM = f"{MATURE:.0%} of the rows and {FEWEST} labels"

Floats = NDArray[np.float64]


class Quality(Struct, frozen=True, kw_only=True):
    """How good a window's predictions were. `matured` rows have a label; `foreign` labels are no class of the model.

    Metrics are by name, each with its interval and its own maturity, in the units of `training.metrics`; those that are
    not defined (no labels yet, AUC of a single class) are left out.
    """

    rows: int
    matured: int
    foreign: int
    metrics: dict[str, Measured]

    @property
    def share(self) -> float:
        """The share of rows that have a label, in [0, 1]."""
        return self.matured / self.rows if self.rows else 0.0

    @property
    def immature(self) -> str | None:
        """What is missing until anything is judged by these labels, or None if they suffice."""
        return too_few(self.matured, self.rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """Quality, each row's label as the model counts it (NaN where unknown), and the loss of each matured row."""

    quality: Quality
    codes: Floats
    losses: Floats


def performance(labelled: pl.DataFrame, spec: ModelSpec, *, value: Value | None = None, seed: int = 0) -> Performance:
    """Return quality and losses of predictions with `output` and `label` (as `with_labels` returns them)."""
    codes = label_codes(labelled["label"], spec)
    outputs = labelled["output"].to_numpy()
    known = np.isfinite(codes)
    matured, given = int(known.sum()), labelled.height - labelled["label"].null_count()
    metrics = measured(spec.task, codes, outputs, probabilities=_probabilities(labelled, spec), seed=seed)
    if value is not None:
        threshold = acts_from(spec.threshold, value)
        metrics |= worth(value, codes[known], outputs[known], rows=labelled.height, threshold=threshold)
    quality = Quality(rows=labelled.height, matured=matured, foreign=given - matured, metrics=metrics)
    return Performance(quality=quality, codes=codes, losses=logged_losses(spec.task, codes[known], outputs[known]))


def _probabilities(labelled: pl.DataFrame, spec: ModelSpec) -> Floats | None:
    """Return what was said of each of several classes, NaN where it was not logged; None where it never was."""
    names = [PROBABILITY + name for name in spec.classes]
    if spec.task != "multiclass" or not set(names) <= set(labelled.columns):
        return None
    return labelled.select(pl.col(names).fill_null(float("nan"))).to_numpy()
