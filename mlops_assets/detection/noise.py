"""Components of windows -> how far each window lies from all others, in units of what ordinary windows differ by.

Every window, live or reference, is compared with all the others in the same way, so that their ranks may be compared.
Of the noise, the part between windows is estimated: for each component alone, then drawn towards what components of
the same kind show (moderated variances: Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004). Sampling variance is its floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_assets.detection.components import Component

CYCLES = 4  # of a season that have to be in the reference before windows are compared within their phase
SEASONAL = 0.01  # p-value of the F test below which a component is compared within its phase
POOLED = ("mean", "spread", "shape")  # these vary between windows by the same measure, whatever the column
FEWEST_POOLED = 4  # components of a kind from which a common variance is estimated
LEAST = 0.7  # of a component's own variance is kept at least, whatever the others of its kind show
MOST_PRIOR = 4.0  # times the windows' own degrees of freedom that the others of a kind may weigh

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Deviations:
    """Each window's distance from the others, shape (windows, components): `scores` in units of `noise`.

    `freedom` are the degrees of freedom behind `noise`; `p_values` are two-sided, of one component alone.
    """

    scores: Floats
    noise: Floats
    freedom: Floats
    p_values: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Windows fitted by the mean of all, or of their phase: leave-one-out residuals, leverage, variance, freedom."""

    residuals: Floats
    leverage: Floats
    variance: Floats
    freedom: Floats


def deviations(
    found: Sequence[Component], rows: Floats, rows_behind: Floats, phases: Sequence[int] | None, cycle: int
) -> Deviations:
    """Return how far each window lies out; `phases` has one entry a window, if windows have a season of `cycle`.

    `rows` has the windows' rows, shape (windows,), `rows_behind` the distinct rows behind each component's reference.
    """
    values = np.stack([component.values for component in found], axis=1)
    sampling = np.stack([component.variances for component in found], axis=1)
    fit = _fit(values - values.mean(axis=0), _phases(phases, cycle))
    others = (sampling.sum(axis=0) - sampling) / (len(values) - 1)
    variance, freedom = _moderated(fit, np.maximum(fit.variance, others), [each.what for each in found])
    between = np.maximum(variance - others, 0.0)
    shared = fit.leverage / (1 - fit.leverage)  # the error of the mean that a window is compared with
    of_mean = np.maximum(others * shared, sampling * rows[:, None] / rows_behind)
    noise = np.sqrt(between * (1 + shared) + sampling + of_mean)
    scores = fit.residuals / noise
    return Deviations(scores=scores, noise=noise, freedom=freedom, p_values=2 * student_tail(np.abs(scores), freedom))


def student_tail(values: Floats, freedom: Floats) -> Floats:
    """Return the chance of a value above `values` under Student's t."""
    from scipy.special import stdtr  # pyright: ignore[reportMissingTypeStubs]

    return np.asarray(stdtr(freedom, -values), dtype=np.float64)


def _phases(phases: Sequence[int] | None, cycle: int) -> NDArray[np.int64] | None:
    """Return the phases if every one that occurs was seen in enough cycles; the last window is the live one."""
    if phases is None or cycle < 2:
        return None
    found = np.asarray(phases, dtype=np.int64)
    seen = np.bincount(found[:-1], minlength=cycle)
    return found if seen[np.unique(found)].min() >= CYCLES else None


def _fit(values: Floats, phases: NDArray[np.int64] | None) -> Fit:
    windows = len(values)
    plain = _fitted(values, np.zeros((windows, windows)) + 1 / windows, 1)
    if phases is None:
        return plain
    same = (phases[:, None] == phases[None, :]).astype(np.float64)
    groups = len(np.unique(phases))
    matched = _fitted(values, same / same.sum(axis=1, keepdims=True), groups)
    seasonal = _seasonal(values, phases, groups)
    return Fit(
        residuals=np.where(seasonal, matched.residuals, plain.residuals),
        leverage=np.where(seasonal, matched.leverage, plain.leverage),
        variance=np.where(seasonal, matched.variance, plain.variance),
        freedom=np.where(seasonal, matched.freedom, plain.freedom),
    )


def _fitted(values: Floats, hat: Floats, parameters: int) -> Fit:
    """Return the leave-one-out residuals of a projection `hat`, and the variance that all other windows show."""
    errors = values - hat @ values
    leverage = np.broadcast_to(np.diag(hat)[:, None], values.shape)
    freedom = len(values) - parameters - 1
    left = (errors**2).sum(axis=0) - errors**2 / (1 - leverage)
    return Fit(
        residuals=errors / (1 - leverage),
        leverage=leverage,
        variance=np.maximum(left, 0.0) / freedom,
        freedom=np.full(values.shape, float(freedom)),
    )


def _seasonal(values: Floats, phases: NDArray[np.int64], groups: int) -> NDArray[np.bool_]:
    """Return which components differ between phases (one-way analysis of variance; Fisher, 1925)."""
    from scipy.special import fdtrc  # pyright: ignore[reportMissingTypeStubs]

    means = np.array([values[phases == phase].mean(axis=0) for phase in phases])
    between = ((means - values.mean(axis=0)) ** 2).sum(axis=0) / (groups - 1)
    within = ((values - means) ** 2).sum(axis=0) / (len(values) - groups)
    ratio = np.divide(between, within, out=np.zeros_like(between), where=within > 0)
    return np.asarray(fdtrc(groups - 1, len(values) - groups, ratio) < SEASONAL)


def _moderated(fit: Fit, variance: Floats, kinds: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the variances drawn towards their kind's, and the degrees of freedom that they then have."""
    drawn, freedom = variance.copy(), fit.freedom.copy()
    for kind in set(kinds):
        places = [i for i, name in enumerate(kinds) if name == kind]
        if kind not in POOLED or len(places) < FEWEST_POOLED:
            continue
        own, mine = variance[:, places], fit.freedom[:, places]
        prior, typical = _prior(own, mine)
        pooled = (prior * typical + mine * own) / (prior + mine)
        drawn[:, places] = np.maximum(pooled, LEAST * own)
        freedom[:, places] = mine + prior
    return drawn, freedom


def _prior(variance: Floats, freedom: Floats) -> tuple[Floats, Floats]:
    """Return how many degrees of freedom a kind's common variance is worth, and that variance, one per window.

    Moments of log variances, whose own scatter is known: Smyth 2004, section 6.2.
    """
    half = freedom / 2
    logs = np.log(np.maximum(variance, 1e-300)) - _psi(half) + np.log(half)
    mean = logs.mean(axis=1, keepdims=True)
    excess = logs.var(axis=1, ddof=1, keepdims=True) - _polygamma(1, half).mean(axis=1, keepdims=True)
    prior = np.where(excess > 0, 2 * _trigamma_inverse(np.maximum(excess, 1e-6)), np.inf)
    prior = np.minimum(prior, MOST_PRIOR * freedom.mean(axis=1, keepdims=True))
    return prior, np.exp(mean + _psi(prior / 2) - np.log(prior / 2))


def _trigamma_inverse(values: Floats) -> Floats:
    """Return x with trigamma(x) = value, by Newton's method (Smyth 2004, appendix)."""
    found = 0.5 + 1 / values
    for _ in range(10):
        slope = _polygamma(1, found)
        found = found + slope * (1 - slope / values) / _polygamma(2, found)
    return found


def _psi(values: Floats) -> Floats:
    from scipy.special import psi  # pyright: ignore[reportMissingTypeStubs]

    return np.asarray(psi(values), dtype=np.float64)


def _polygamma(order: int, values: Floats) -> Floats:
    from scipy.special import polygamma  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    return np.asarray(polygamma(order, values), dtype=np.float64)
