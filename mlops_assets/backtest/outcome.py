"""Policies played over the matrix -> the table of a backtest: quality, retrains, cost, false alarms, and the limit."""

from collections.abc import Sequence

import numpy as np

from mlops_assets.backtest.judged import HEAVIEST, SUREST
from mlops_assets.backtest.matrix import Matrix
from mlops_assets.backtest.optimum import optimum
from mlops_assets.backtest.policies import Played, Policy, evenly, play
from mlops_assets.evidence.records import Struct
from mlops_assets.parts import Retrain
from mlops_assets.windows import Grid

NEVER, EVERY, DRIFT = "never", "every window", "on drift"
APART = 5  # `every n windows` goes up to this n
FEW = 12  # occasions to retrain; with fewer, one lucky window decides what looks best


class Row(Struct, frozen=True, kw_only=True):
    """A policy's line. `kept` is the share that it keeps of what every window gains over never (None: that is nothing).

    `evenly` is the quality of as many retrains, evenly spaced, and `best` that of as many in hindsight. `over_time` is
    the quality per window. `alarms` counts occasions to retrain at which alarms were open, `false_alarms` those after
    which a model trained then would have been no better up to the next occasion; None where alarms are not heeded.
    """

    policy: str
    declared: bool
    quality: float
    kept: float | None
    retrains: int
    retrained_on: list[str]
    evenly: float
    best: float
    seconds: float
    value: float | None
    alarms: int | None
    false_alarms: int | None
    over_time: list[float | None]


class Backtest(Struct, frozen=True, kw_only=True):
    """What a backtest found. `optimum` is the best quality with at most 0, 1, 2 ... retrains, in hindsight.

    `windows` were served, `occasions` is how often there was something new to learn from; `caution` says what the
    numbers cannot bear, and `skipped` why there is no model of a window.
    """

    product: str
    segment: str
    metric: str
    higher_is_better: bool
    windows: list[str]
    occasions: int
    rows: int
    policies: list[Row]
    optimum: list[float]
    evenly: list[float]
    caution: str
    skipped: dict[str, str]

    def row(self, policy: str) -> Row:
        """Return the line of a policy."""
        return next(row for row in self.policies if row.policy == policy)


def policies(retrain: Retrain, grid: Grid) -> list[Policy]:
    """Return what is compared: the fixed ones, the declared one, and variants of its thresholds."""
    fixed = [
        Policy(name=NEVER, rule="every"),
        Policy(name=EVERY, rule="every", every=1),
        *(Policy(name=f"every {n} windows", rule="every", every=n) for n in range(2, APART + 1)),
    ]
    rest = retrain.model_copy(update={"cooldown": 2 * grid.longest})
    heavy = retrain.model_copy(update={"importance": min(HEAVIEST * retrain.importance, 1.0)})
    blind = retrain.model_copy(update={"mends": False})
    return [
        *fixed,
        Policy(name=DRIFT, retrain=retrain),
        Policy(name=f"on drift, p ≤ {SUREST:g}", retrain=retrain, alpha=SUREST),
        Policy(name=f"on drift, importance x {HEAVIEST}", retrain=heavy),
        Policy(name="on drift, a window's rest after each", retrain=rest),
        Policy(name="on drift of the loss, mended or not", retrain=blind, heeds=frozenset({"loss"})),
        Policy(name="on drift of the relation", retrain=blind, heeds=frozenset({"relation"})),
        Policy(name="on drift, mended or not", retrain=blind),
    ]


def backtested(matrix: Matrix, compared: Sequence[Policy]) -> Backtest:
    """Return the table of `compared`, which begins with never and every window."""
    limit = [
        matrix.sign * each
        for each in optimum(matrix.sign * matrix.quality, matrix.weights, matrix.newest, matrix.first)
    ]
    spaced = [evenly(matrix, count) for count in range(len(limit))]
    played = [play(policy, matrix) for policy in compared]
    ends = {each.policy.name: matrix.mean(np.array(each.serving)) for each in played}
    history, occasions = matrix.history, len(matrix.moments)
    return Backtest(
        product=history.product.name,
        segment=history.segment,
        metric=history.product.gate.metric,
        higher_is_better=matrix.sign > 0,
        windows=[history.windows[place].key for place in _served(matrix)],
        occasions=occasions,
        rows=int(matrix.weights.sum()),
        policies=[_row(matrix, each, ends[NEVER], ends[EVERY], limit, spaced) for each in played],
        optimum=limit,
        evenly=spaced,
        caution=_caution(occasions),
        skipped={each.window: each.problem for each in matrix.candidates if each.problem},
    )


def _row(
    matrix: Matrix, played: Played, never: float, every: float, limit: Sequence[float], spaced: Sequence[float]
) -> Row:
    serving, count = np.array(played.serving), len(played.retrained)
    quality = matrix.mean(serving)
    trained = [matrix.newest[period] for period in played.retrained]
    heeds = played.policy.rule == "on drift"
    value = matrix.worth[serving, np.arange(len(serving))].sum()
    return Row(
        policy=played.policy.name,
        declared=played.policy.name == DRIFT,
        quality=quality,
        kept=(quality - never) / (every - never) if (every - never) * matrix.sign > 0 else None,
        retrains=count,
        retrained_on=[matrix.history.windows[place].key for place in trained],
        evenly=spaced[count],
        best=limit[count],
        seconds=round(sum(matrix.candidates[place].seconds for place in trained), 3),
        value=float(value) if matrix.history.product.value else None,
        alarms=len(played.alarms) if heeds else None,
        false_alarms=len(played.false) if heeds else None,
        over_time=[_mean_in(matrix, serving, place) for place in _served(matrix)],
    )


def _served(matrix: Matrix) -> list[int]:
    return sorted({period.window for period in matrix.periods})


def _mean_in(matrix: Matrix, serving: np.ndarray, place: int) -> float | None:
    within = np.array([period.window == place for period in matrix.periods]) & (matrix.weights > 0)
    if not within.any():
        return None
    reached = matrix.quality[serving, np.arange(len(serving))]
    return float(np.average(reached[within], weights=matrix.weights[within]))


def _caution(occasions: int) -> str:
    if occasions >= FEW:
        return ""
    return (
        f"only {occasions} occasions to retrain (less than {FEW}): one lucky window can decide which policy looks best"
    )
