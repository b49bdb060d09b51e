"""Open alarms and the state of the loop -> retrain or not, what on, and why. Pure: the sensor acts, this decides."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mlops_assets.detection.verdict import Kind, Verdict
from mlops_assets.evidence.records import Struct, canonical, digest
from mlops_assets.parts import Retrain
from mlops_assets.training.reference import PREDICTION


class Alarm(Struct, frozen=True, kw_only=True):
    """A verdict of drift: `id` is its record, `columns` what moved and by how much, `window` the monitoring window."""

    id: str
    window: str
    start: datetime
    end: datetime
    kind: Kind
    columns: dict[str, float]
    words: str


class Training(Struct, frozen=True, kw_only=True):
    """A training that was decided on: the end of the data that it used (None: all there is), and what it answered."""

    until: datetime | None
    alarms: tuple[str, ...]
    failed: bool


class Champion(Struct, frozen=True, kw_only=True):
    """The model that serves, the window it was trained on, and each feature's share of its importance."""

    version: int
    window: str
    importance: dict[str, float]


class Labelled(Struct, frozen=True, kw_only=True):
    """The newest training window with matured labels. `trained`: a candidate of this very recipe exists already.

    `end` is None for a product without windows: all its data is in one.
    """

    window: str
    rows: int
    end: datetime | None
    trained: bool


class LoopState(Struct, frozen=True, kw_only=True):
    """All that a decision depends on. `attempts` counts failed candidates per alarm, `paused` is the reason given."""

    product: str
    segment: str
    now: datetime
    alarms: tuple[Alarm, ...]
    champion: Champion | None
    labelled: Labelled | None
    labels_window: str | None = None
    labels_due: datetime | None = None
    last_retrain: datetime | None = None
    attempts: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    running: bool = False
    paused: str | None = None


class RetrainDecision(Struct, frozen=True, kw_only=True):
    """The answer. `alarms` are those that it answers; same inputs and answer give the same `id`, whatever the time."""

    id: str
    product: str
    segment: str
    at: datetime
    retrain: bool
    target: str | None
    reasons: tuple[str, ...]
    alarms: tuple[str, ...] = ()
    trigger: str | None = None


def alarm_of(verdict: Verdict, *, record: str, window: str, start: datetime, end: datetime) -> Alarm | None:
    """Return the alarm that a verdict raises, or None if it is not drift."""
    if verdict.state != "drift":
        return None
    columns = {shift.column: shift.effect for shift in verdict.columns}
    return Alarm(
        id=record, window=window, start=start, end=end, kind=verdict.kind, columns=columns, words=verdict.words
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
        if alarm.id not in dismissed and not any(_reaches(training.until, alarm) for training in good)
    )


def failed_attempts(trainings: Sequence[Training]) -> dict[str, int]:
    """Return how many candidates failed per alarm."""
    answered = [alarm for training in trainings if training.failed for alarm in training.alarms]
    return {alarm: answered.count(alarm) for alarm in sorted(set(answered))}


def decide(policy: Retrain, state: LoopState) -> RetrainDecision:
    """Return whether to retrain the segment now, with every reason against it, or the alarms for it."""
    weighty, light = _weigh(policy, state)
    obstacles = [*_standing(policy, state), *(light if not weighty else ()), *_nothing_new(policy, state, weighty)]
    if not state.alarms:
        return _decision(policy, state, False, ("no open alarm",))
    if obstacles:
        return _decision(policy, state, False, tuple(obstacles))
    return _decision(policy, state, True, tuple(f"{alarm.window}: {alarm.words}" for alarm in weighty))


def _weigh(policy: Retrain, state: LoopState) -> tuple[list[Alarm], list[str]]:
    """Return the alarms whose effect matters to this model, and why each of the others does not."""
    if state.champion is None:
        return [], []
    importance = state.champion.importance
    weighty: list[Alarm] = []
    light: list[str] = []
    for alarm in state.alarms:
        moved = sum(importance.get(column, 0.0) for column in alarm.columns)
        if alarm.kind == "schema":
            light.append(f"{alarm.window}: {alarm.words}; retraining does not mend a schema, a person must")
        elif alarm.kind == "concept" or PREDICTION in alarm.columns or moved >= policy.importance:
            weighty.append(alarm)
        else:
            names = ", ".join(alarm.columns) or "no column"
            light.append(
                f"{alarm.window}: the columns that moved ({names}) carry {moved:.1%} of the model's importance"
                f" (needs {policy.importance:.1%})"
            )
    return weighty, light


def _standing(policy: Retrain, state: LoopState) -> list[str]:
    """Return what forbids any retraining now."""
    found: list[str] = []
    if state.paused is not None:
        found.append(f"paused: {state.paused}")
    if state.champion is None:
        found.append("no champion yet: the first model is made by a backfill, not by an alarm")
    if state.running:
        found.append("a retraining of this segment is in progress")
    if state.last_retrain is not None and state.now < state.last_retrain + policy.cooldown:
        found.append(f"cooldown until {_moment(state.last_retrain + policy.cooldown)}")
    # each day of a drift raises its own alarm: candidates that failed for any open one count, or none would ever stop
    failed = max((state.attempts.get(alarm.id, 0) for alarm in state.alarms), default=0)
    if failed >= policy.attempts:
        found.append(f"{failed} candidates already failed for this alarm: a person must decide")
    return found


def _nothing_new(policy: Retrain, state: LoopState, weighty: Sequence[Alarm]) -> list[str]:
    """Return why the newest labelled window would teach nothing about what moved."""
    if state.labelled is None:
        return [f"no labelled window yet{_due(state)}"]
    if state.labelled.trained:
        return [f"nothing new to learn from: {state.labelled.window} is trained already{_due(state)}"]
    if weighty and not any(_reaches(state.labelled.end, alarm) for alarm in weighty):
        first = min(weighty, key=lambda alarm: alarm.start).window
        return [f"nothing new to learn from: {state.labelled.window} ends before the alarm of {first}{_due(state)}"]
    if state.labelled.rows < policy.min_rows:
        rows = f"{state.labelled.rows} of {policy.min_rows} labelled rows"
        return [f"only {rows} in {state.labelled.window}{_due(state)}"]
    return []


def _due(state: LoopState) -> str:
    if state.labels_due is None:
        return ""
    window = f" of {state.labels_window}" if state.labels_window else ""
    return f"; labels{window} are due at {_moment(state.labels_due)}"


def _reaches(until: datetime | None, alarm: Alarm) -> bool:
    return until is None or until > alarm.start


def _decision(policy: Retrain, state: LoopState, retrain: bool, reasons: tuple[str, ...]) -> RetrainDecision:
    target = state.labelled.window if retrain and state.labelled else None
    answered = [alarm for alarm in state.alarms if retrain and state.labelled and _reaches(state.labelled.end, alarm)]
    timeless = {name: getattr(state, name) for name in state.__struct_fields__ if name != "now"}
    inputs = {"policy": policy.model_dump(mode="json"), "state": timeless, "retrain": retrain, "reasons": reasons}
    return RetrainDecision(
        id=digest(canonical(inputs)),
        product=state.product,
        segment=state.segment,
        at=state.now,
        retrain=retrain,
        target=target,
        reasons=reasons,
        alarms=tuple(alarm.id for alarm in answered),
        trigger=" and ".join(sorted({f"{alarm.kind} drift" for alarm in answered})) or None,
    )


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="minutes")
