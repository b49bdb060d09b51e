"""Verdicts of drift -> alarms, and which of them nobody has answered yet. Pure."""

from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist

import msgspec

from mlops_assets.detection.verdict import Kind, Unit, Verdict
from mlops_assets.evidence.records import Struct
from mlops_assets.training.reference import PREDICTION


class Alarm(Struct, frozen=True, kw_only=True):
    """A verdict of drift: `id` is its record, `columns` what moved and by how much, `window` the monitoring window.

    `units` are those of `columns`; a column that is not in it moved by so many sd of training.
    """

    id: str
    window: str
    start: datetime
    end: datetime
    kind: Kind
    columns: dict[str, float]
    units: dict[str, Unit] = msgspec.field(default_factory=dict[str, Unit])
    words: str

    @property
    def score_shift(self) -> float:
        """How far the score moved, in sd of training's scores; 0 if it did not.

        A share of scores that lie elsewhere is a total variation, and counts as the shift of a normal distribution that
        has it: TV = 2 · Φ(shift / 2) - 1. A change of the spread counts by its size, relative to training's.
        """
        effect = min(abs(self.columns.get(PREDICTION, 0.0)), 1e6)
        if self.units.get(PREDICTION) != "share":
            return effect
        return 2 * NormalDist().inv_cdf((1 + min(effect, 1 - 1e-9)) / 2)


class Training(Struct, frozen=True, kw_only=True):
    """A training that was decided on: the end of the data that it used (None: all there is), and what it answered."""

    until: datetime | None
    alarms: tuple[str, ...]
    failed: bool


def alarm_of(verdict: Verdict, *, record: str, window: str, start: datetime, end: datetime) -> Alarm | None:
    """Return the alarm that a verdict raises, or None if it is not drift."""
    if verdict.state != "drift":
        return None
    return Alarm(
        id=record,
        window=window,
        start=start,
        end=end,
        kind=verdict.kind,
        columns={shift.column: shift.effect for shift in verdict.columns},
        units={shift.column: shift.unit for shift in verdict.columns if shift.unit != "sd"},
        words=verdict.words,
    )


def open_alarms(
    alarms: Sequence[Alarm], trainings: Sequence[Training], dismissed: frozenset[str] = frozenset()
) -> tuple[Alarm, ...]:
    """Return the alarms that nobody has answered, oldest first.

    An alarm is closed by a training that used data from its window or later and has not failed, or by `dismissed`: the
    ids that a person closed in the ledger. A failed candidate leaves it open.
    """
    good = [training for training in trainings if not training.failed]
    return tuple(
        alarm
        for alarm in sorted(alarms, key=lambda each: (each.start, each.id))
        if alarm.id not in dismissed and not any(reaches(training.until, alarm) for training in good)
    )


def failed_attempts(trainings: Sequence[Training]) -> dict[str, int]:
    """Return how many candidates failed per alarm."""
    answered = [alarm for training in trainings if training.failed for alarm in training.alarms]
    return {alarm: answered.count(alarm) for alarm in sorted(set(answered))}


def reaches(until: datetime | None, alarm: Alarm) -> bool:
    """Return whether data up to `until` (None: all there is) holds some of the alarm's window."""
    return until is None or until > alarm.start
