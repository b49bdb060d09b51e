"""A policy, played over the matrix: who serves when, what was retrained, and which alarms were false.

The policies that heed alarms decide with the loop's own `decide`, on the alarms that the model that serves had raised
by then. Every model trained serves at once: gate, approval and canary are not played, and no candidate fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np

from mlops_assets.backtest.judged import Source
from mlops_assets.backtest.matrix import Matrix
from mlops_assets.parts import Retrain
from mlops_assets.retraining.alarms import Alarm
from mlops_assets.retraining.decisions import decide
from mlops_assets.retraining.state import Champion, Labelled, LoopState


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When to retrain. `every` counts windows (0: never); on drift, `retrain` decides on alarms of the sources `heeds`.

    `alpha` leaves out alarms that are less sure.
    """

    name: str
    rule: Literal["every", "on drift"] = "on drift"
    every: int = 0
    retrain: Retrain = field(default_factory=Retrain)
    heeds: frozenset[Source] = frozenset({"inputs", "loss"})
    alpha: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of a policy: the model in each period, and at which of them it was retrained.

    `alarms` are the periods at whose start alarms were open, `false` those of them after which a model trained then
    would not have been better, up to the next occasion.
    """

    policy: Policy
    serving: tuple[int, ...]
    retrained: tuple[int, ...]
    alarms: tuple[int, ...]
    false: tuple[int, ...]


def play(policy: Policy, matrix: Matrix) -> Played:
    """Return what `policy` would have done."""
    serving: list[int] = []
    retrained: list[int] = []
    alarms: list[int] = []
    current, moments = matrix.first, matrix.moments
    for period in range(len(matrix.periods)):
        if period in moments:
            heard = _open(policy, matrix, current, period)
            alarms += [period] if heard else []
            able = not matrix.candidates[matrix.newest[period]].problem
            if able and _wanted(policy, matrix, current, period, retrained, heard):
                current = matrix.newest[period]
                retrained.append(period)
        serving.append(current)
    before = (matrix.first, *serving)
    false = [period for period in alarms if not _better(matrix, before[period], period)]
    return Played(
        policy=policy,
        serving=tuple(serving),
        retrained=tuple(retrained),
        alarms=tuple(alarms),
        false=tuple(false),
    )


def evenly(matrix: Matrix, retrains: int) -> float:
    """Return the quality of that many retrains, evenly spaced: the mean over ten ways to begin."""
    if not retrains:
        return matrix.mean(np.full(len(matrix.periods), matrix.first))
    moments = matrix.moments
    places = [[int((i + shift / 10) * len(moments) / retrains) for i in range(retrains)] for shift in range(10)]
    return float(np.mean([matrix.mean(_serving(matrix, {moments[i] for i in each})) for each in places]))


def _serving(matrix: Matrix, at: set[int]) -> np.ndarray:
    current, serving = matrix.first, np.empty(len(matrix.periods), dtype=np.int64)
    for period in range(len(matrix.periods)):
        if period in at and not matrix.candidates[matrix.newest[period]].problem:
            current = matrix.newest[period]
        serving[period] = current
    return serving


def _open(policy: Policy, matrix: Matrix, current: int, period: int) -> list[Alarm]:
    """Return the alarms about the model that serves, as far as they were known."""
    if policy.rule != "on drift":
        return []
    now = matrix.periods[period].start
    known = [each for each in matrix.candidates[current].signals if each.known <= now]
    return [
        each.alarm
        for each in known
        if each.alarm and each.source in policy.heeds and (each.p_value or 0.0) <= policy.alpha
    ]


def _wanted(
    policy: Policy, matrix: Matrix, current: int, period: int, retrained: Sequence[int], heard: Sequence[Alarm]
) -> bool:
    if policy.rule == "every":
        occasion = matrix.moments.index(period) + 1
        return policy.every > 0 and occasion % policy.every == 0
    return decide(policy.retrain, _state(matrix, current, period, retrained, heard)).retrain


def _state(matrix: Matrix, current: int, period: int, retrained: Sequence[int], heard: Sequence[Alarm]) -> LoopState:
    history, newest = matrix.history, matrix.newest[period]
    window = history.windows[newest]
    times = tuple(matrix.periods[each].start for each in retrained)
    return LoopState(
        product=history.product.name,
        segment=history.segment,
        now=matrix.periods[period].start,
        alarms=tuple(heard),
        champion=Champion(
            version=current + 1,
            window=history.windows[current].key,
            importance=matrix.candidates[current].importance,
            made=history.windows[current].ready,
        ),
        labelled=Labelled(
            window=window.key,
            rows=sum(each.rows for each in history.windows[current + 1 : newest + 1]),
            end=window.end,
            trained=newest == current,
            idle=_idle(matrix, current, newest, matrix.periods[period].start),
        ),
        last_retrain=times[-1] if times else None,
        trainings=times,
    )


def _idle(matrix: Matrix, current: int, newest: int, now: datetime) -> str | None:
    """Return that a training on the newest labelled window would mend nothing, if the relation's test says so."""
    known = matrix.candidates[current].signals
    said = [each for each in known if each.source == "relation" and each.place == newest and each.known <= now]
    return "nothing to mend" if said and said[-1].state == "ok" else None


def _better(matrix: Matrix, current: int, period: int) -> bool:
    """Return whether a model trained at the start of `period` was better than `current` until the next occasion."""
    after = next((each for each in matrix.moments if each > period), len(matrix.periods))
    stretch = slice(period, after)
    gain = (matrix.quality[matrix.newest[period], stretch] - matrix.quality[current, stretch]) * matrix.sign
    return float(np.nansum(gain * matrix.weights[stretch])) > 0
