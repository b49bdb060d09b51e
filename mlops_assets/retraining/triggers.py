"""The state of a loop -> who asks for a training (alarms, schedule, new data, new recipe, people). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.parts import Retrain
from mlops_assets.retraining.alarms import Alarm, reaches
from mlops_assets.retraining.obstacles import brakes, needless, refused, standing, too_early, too_few, untaught, weigh
from mlops_assets.retraining.state import LoopState
from mlops_assets.retraining.words import moment, period


@dataclass(frozen=True, kw_only=True)
class Call:
    """Somebody or something that asks for a training: who, with which words, and what speaks against it."""

    trigger: str
    words: tuple[str, ...]
    against: tuple[str, ...]


def calls(policy: Retrain, state: LoopState) -> list[Call]:
    """Return all that ask for a training now, with what holds each of them back.

    A person is held back only by a pause, a run in progress, and where there is nothing to learn. A new recipe may
    learn anew from rows that the champion knows. All others wait for new labelled rows, cooldown and budget.
    """
    by_itself = (_schedule(policy, state), _data(policy, state), _recipe(policy, state))
    return [call for found in (_alarms(policy, state), _people(state), *by_itself) for call in found]


def next_scheduled(policy: Retrain, state: LoopState) -> datetime | None:
    """Return when the schedule asks for a training, or None if there is none."""
    known = [at for at in (state.last_retrain, state.champion.made if state.champion else None) if at is not None]
    return max(known) + policy.every if policy.every is not None and known else None


def _alarms(policy: Retrain, state: LoopState) -> Iterator[Call]:
    if not state.alarms:
        return
    weighty, light = weigh(policy, state)
    against = [*standing(state), *brakes(policy, state), *refused(policy, state), *(light if not weighty else ())]
    lacking = untaught(state) or too_early(state, weighty) or too_few(policy, state) or needless(policy, state)
    answered = [alarm for alarm in weighty if state.labelled and reaches(state.labelled.end, alarm)]
    yield Call(
        trigger=_kinds(answered or weighty or state.alarms),
        words=tuple(f"{alarm.window}: {alarm.words}" for alarm in answered),
        against=(*against, *lacking),
    )


def _people(state: LoopState) -> Iterator[Call]:
    against = (*standing(state), *untaught(state))
    for ask in state.asks:
        yield Call(trigger="a person", words=(f"{ask.by} asks: {ask.reason}",), against=against)


def _schedule(policy: Retrain, state: LoopState) -> Iterator[Call]:
    due = next_scheduled(policy, state)
    if due is not None and policy.every is not None and state.now >= due:
        words = f"scheduled every {period(policy.every)}, the last training was at {moment(due - policy.every)}"
        yield Call(trigger="schedule", words=(words,), against=_unhurried(policy, state))


def _data(policy: Retrain, state: LoopState) -> Iterator[Call]:
    champion, labelled = state.champion, state.labelled
    if not policy.on_new_data or champion is None or labelled is None or labelled.trained or not labelled.rows:
        return
    if labelled.window > champion.window or labelled.end is None:
        words = f"new data: {labelled.window} has labels, and the champion learned up to {champion.window}"
        yield Call(trigger="new data", words=(words,), against=_unhurried(policy, state))


def _recipe(policy: Retrain, state: LoopState) -> Iterator[Call]:
    if policy.on_new_recipe and state.champion and state.champion.changed:
        words = f"new recipe: {', '.join(state.champion.changed)} changed since the champion was trained"
        against = (*standing(state), *brakes(policy, state), *untaught(state))
        yield Call(trigger="new recipe", words=(words,), against=against)


def _unhurried(policy: Retrain, state: LoopState) -> tuple[str, ...]:
    """Return what holds back a training that no alarm asks for."""
    lacking = untaught(state) or too_few(policy, state)
    return (*standing(state), *brakes(policy, state), *lacking)


def _kinds(alarms: tuple[Alarm, ...] | list[Alarm]) -> str:
    return " and ".join(sorted({f"{alarm.kind} drift" for alarm in alarms}))
