"""A live window against its reference -> the distances that people know: shown beside a verdict, never deciding one.

They have no false-alarm rate: they grow with few rows and with what ordinary windows differ by, whatever their limit.
"""

import numpy as np
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.training.bins import ColumnCounts, Counts, merge
from mlops_assets.training.reference import Reference

USUAL_LINE = 0.2  # of the PSI, by custom: Siddiqi, Credit Risk Scorecards, 2006

Floats = NDArray[np.float64]


class Distances(Struct, frozen=True, kw_only=True):
    """How far a column's window is from its reference, over the frozen bins, missing values among them.

    `psi` is the population stability index, `kl` the Kullback-Leibler divergence of the window from the reference in
    nats; half a row is added to each bin, so neither is infinite. `ks` is the largest distance of the cumulative
    shares at the bins' edges, in [0, 1]; None for text, which has no order.
    """

    psi: float
    ks: float | None
    kl: float

    @property
    def over_the_line(self) -> bool:
        """Whether the PSI is above 0.2, at which many tools alarm."""
        return self.psi > USUAL_LINE


def distances(live: Counts, reference: Reference) -> dict[str, Distances]:
    """Return the distances of each column that both have; none of a window without rows."""
    before = merge(reference.windows)
    ordered = {part.column for part in reference.bins.numeric}
    shared = [name for name in reference.bins.columns if name in live.columns and live.rows]
    return {name: _distances(live.columns[name], before.columns[name], name in ordered) for name in shared}


def _distances(now: ColumnCounts, then: ColumnCounts, ordered: bool) -> Distances:
    live, known = _shares(now), _shares(then)
    logs = np.log(live / known)
    ks = None
    if ordered and now.valid and then.valid:
        cumulative = [np.cumsum(counts.bins) / counts.valid for counts in (now, then)]
        ks = round(float(np.abs(cumulative[0] - cumulative[1]).max()), 6)
    return Distances(psi=round(float(((live - known) * logs).sum()), 6), ks=ks, kl=round(float((live * logs).sum()), 6))


def _shares(counts: ColumnCounts) -> Floats:
    rows = np.array([*counts.bins, counts.null, counts.inf], dtype=np.float64) + 0.5
    return rows / rows.sum()
