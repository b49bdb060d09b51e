"""The state of a loop -> retrain or not, what on, and why. Pure: the sensor acts, this decides."""

from datetime import datetime

from mlops_assets.evidence.records import Struct, canonical, digest
from mlops_assets.parts import Retrain
from mlops_assets.retraining.alarms import Alarm, Training, alarm_of, failed_attempts, open_alarms, reaches
from mlops_assets.retraining.state import Ask, Champion, Labelled, LoopState
from mlops_assets.retraining.triggers import calls, next_scheduled
from mlops_assets.retraining.words import moment

__all__ = [  # whoever decides finds here what it takes
    "Alarm",
    "Ask",
    "Champion",
    "Labelled",
    "LoopState",
    "RetrainDecision",
    "Training",
    "alarm_of",
    "decide",
    "failed_attempts",
    "open_alarms",
]


class RetrainDecision(Struct, frozen=True, kw_only=True):
    """The answer. Same inputs and answer give the same `id`, whatever the time.

    `alarms` and `asks` are those that it answers, `considered` all open alarms, `trigger` who asked: those that are
    answered, or, if the answer is no, all of them; None if nobody did.
    """

    id: str
    product: str
    segment: str
    at: datetime
    retrain: bool
    target: str | None
    reasons: tuple[str, ...]
    alarms: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    considered: tuple[str, ...] = ()
    trigger: str | None = None


def decide(policy: Retrain, state: LoopState) -> RetrainDecision:
    """Return whether to retrain the segment now, with every reason against it, or the words of those that asked."""
    asked = calls(policy, state)
    free = [call for call in asked if not call.against]
    reasons = [word for call in free for word in call.words] or [word for call in asked for word in call.against]
    trigger = " and ".join(dict.fromkeys(call.trigger for call in free or asked)) or None
    return _decision(policy, state, bool(free), tuple(dict.fromkeys(reasons or _quiet(policy, state))), trigger)


def _quiet(policy: Retrain, state: LoopState) -> list[str]:
    due = next_scheduled(policy, state)
    return ["no open alarm", *([f"the next training is scheduled from {moment(due)}"] if due else [])]


def _decision(
    policy: Retrain, state: LoopState, retrain: bool, reasons: tuple[str, ...], trigger: str | None
) -> RetrainDecision:
    target = state.labelled.window if retrain and state.labelled else None
    answered = [alarm for alarm in state.alarms if retrain and state.labelled and reaches(state.labelled.end, alarm)]
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
        asks=tuple(ask.id for ask in state.asks) if retrain else (),
        considered=tuple(alarm.id for alarm in state.alarms),
        trigger=trigger,
    )
