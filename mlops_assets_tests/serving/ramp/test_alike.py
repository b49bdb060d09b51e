"""Ramps of a canary that is the champion's twin: whatever its requests are like, it is not taken back."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from mlops_assets.serving.answering.groups import Group
from mlops_assets.serving.ramp.judge import Step, worse
from mlops_assets.serving.requests.decoder import Decoded
from mlops_assets.serving.routing.counts import Tally, added
from mlops_assets.serving.routing.lanes import Answerer, Lane, salted
from mlops_assets.training.predictor import Score
from mlops_assets_tests.serving.ramp.test_judge import NOON, PLAN

RAMPS = 8
Draw = np.random.Generator


class Trial:
    """Counts of a canary of `share` and of the champion in several workers, as the endpoint counts requests."""

    def __init__(self, share: float, workers: int = 1) -> None:
        self._share = share
        self._champion, self._canary = ([Tally("binary") for _ in range(workers)] for _ in range(2))

    def single(self, us: float, score: float, *, mine: bool, key: bytes | None = None, worker: int = 0) -> None:
        tallies = self._canary if mine else self._champion
        tallies[worker].answered_for(key, int(us), [Score(score, None, None)], shared=False)

    def shared_out(self, us: float, scores: list[float], mine: list[bool]) -> None:
        """A batch of rows of as many sticky values."""
        for tallies, side in ((self._canary, True), (self._champion, False)):
            if side in mine:
                leading = [Score(scores[0], None, None)] if mine[0] is side else []
                tallies[0].answered_for(None, int(us), leading, shared=True)

    def withdrawn(self) -> bool:
        both = (added(each.counts() for each in tallies) for tallies in (self._champion, self._canary))
        return any(worse(PLAN, Step(share=self._share, since=NOON, hold=timedelta(0)), *both, None))


def batches_of_other_rows(draw: Draw) -> bool:
    """Large batches are slow and score low; by the sticky column they are shared out."""
    trial = Trial(0.05)
    for at in range(1, 2_001):
        size = 200 if draw.random() < 0.03 else 1
        us, mine = (300 if size == 1 else 5_000) * draw.lognormal(0, 0.2), draw.random(size) < 0.05
        if size == 1:
            trial.single(us, draw.beta(8, 2), mine=bool(mine[0]))
        else:
            trial.shared_out(us, draw.beta(2, 8, size).tolist(), mine.tolist())
        if at % 500 == 0 and trial.withdrawn():
            return True
    return False


def customers_who_ask_often(draw: Draw) -> bool:
    """Few of 400 customers ask most of the time, each about something of their own."""
    trial, wanted = Trial(0.05, workers=4), draw.pareto(1.0, 400)
    mine, scores = draw.random(400) < 0.05, draw.random(400)
    for at, who in enumerate(draw.choice(400, 3_000, p=wanted / wanted.sum()).tolist(), 1):
        us, worker = 300 * draw.lognormal(0, 0.2), int(draw.integers(4))
        trial.single(us, scores[who], mine=bool(mine[who]), key=b"%d" % who, worker=worker)
        if at % 750 == 0 and trial.withdrawn():
            return True
    return False


@pytest.mark.parametrize("ramp", [batches_of_other_rows, customers_who_ask_often])
def test_a_twin_of_the_champion_is_not_taken_back(ramp: Callable[[Draw], bool]):
    draw = np.random.default_rng(11)

    assert sum(ramp(draw) for _ in range(RAMPS)) == 0


@pytest.mark.parametrize(
    ("sticky", "pinned", "scores", "shared"),
    [(None, False, [1, 1], [0, 0]), (0, False, [1, 0], [1, 1]), (0, True, [0, 0], [1, 1])],
)
def test_a_batch_counts_once_and_only_where_chance_decided_who_answers_it(
    sticky: int | None, pinned: bool, scores: list[int], shared: list[int]
):
    both = [Tally("binary"), Tally("binary")]
    answerers = [Answerer(segment="eu", version=1, model=None, tally=tally) for tally in both]  # type: ignore[arg-type]
    rival = None if pinned else answerers[0]
    lane = Lane(champion=answerers[1], rival=rival, salted=salted("s"), below=5_000, sticky=sticky)
    rows = [Score(0.7, None, None)] * 3

    for by, leading in zip(answerers, (True, sticky is None), strict=True):
        given = [Decoded(("jo",), None)] * 3
        Group(by, lane, (0, 2, 4), given, rows, given).tell(900, single=False, leading=leading)

    counts = [tally.counts() for tally in both]
    assert [sum(each.scores.values()) for each in counts] == scores
    assert [sum(each.shared) for each in counts] == shared
    assert [each.requests for each in counts] == [1, 1]
