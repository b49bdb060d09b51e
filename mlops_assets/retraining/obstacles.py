"""The state of a loop -> what speaks against a training now, each with its numbers. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from mlops_assets.parts import Budget, Retrain
from mlops_assets.retraining.alarms import Alarm, reaches
from mlops_assets.retraining.state import LoopState
from mlops_assets.retraining.words import moment, period
from mlops_assets.training.reference import PREDICTION

AFTER_FAILED_RUNS = timedelta(hours=1)  # at least; what broke every run at once is not mended in seconds


def standing(state: LoopState) -> list[str]:
    """Return what forbids any training, whoever asks."""
    found: list[str] = []
    if state.paused is not None:
        found.append(f"paused: {state.paused}")
    if state.champion is None:
        found.append("no champion yet: the first model is made by a backfill, not by an alarm")
    if state.running:
        found.append("a retraining of this segment is in progress")
    if state.on_trial is not None:
        found.append(f"{state.on_trial}: what comes of that is waited for")
    return found


def brakes(policy: Retrain, state: LoopState) -> list[str]:
    """Return what holds back a training that no person asked for: failed runs, cooldown, budget."""
    found: list[str] = []
    if state.last_retrain is not None:
        rest = max(policy.cooldown, AFTER_FAILED_RUNS) if state.failed_runs else policy.cooldown
        until = state.last_retrain + rest
        failed = f"all {state.failed_runs} runs of the last training failed; " if state.failed_runs else ""
        if state.now < until:
            found.append(f"{failed}cooldown until {moment(until)}")
    if policy.budget is not None and (free := _free(policy.budget, state)) is not None:
        said = f"{policy.budget.trainings} trainings in {period(policy.budget.per)}"
        found.append(f"budget used up ({said}) until {moment(free)}")
    return found


def refused(policy: Retrain, state: LoopState) -> list[str]:
    """Return that candidates for the open alarms failed too often."""
    # each day of a drift raises its own alarm: candidates that failed for any open one count, or none would ever stop
    failed = max((state.attempts.get(alarm.id, 0) for alarm in state.alarms), default=0)
    if failed < policy.attempts:
        return []
    return [f"{failed} candidates already failed for this alarm: a person must decide"]


def weigh(policy: Retrain, state: LoopState) -> tuple[list[Alarm], list[str]]:
    """Return the alarms whose effect matters to this model, and why each of the others does not."""
    weighty: list[Alarm] = []
    light: list[str] = []
    for alarm in state.alarms if state.champion else ():
        if against := _light(policy, state, alarm):
            light.append(f"{alarm.window}: {against}")
        else:
            weighty.append(alarm)
    return weighty, light


def untaught(state: LoopState) -> list[str]:
    """Return why there is nothing to learn from that is not learned yet."""
    if state.labelled is None:
        return [f"no labelled window yet{_due(state)}"]
    if state.labelled.trained:
        return [f"nothing new to learn from: {state.labelled.window} is trained already{_due(state)}"]
    return []


def too_few(policy: Retrain, state: LoopState) -> list[str]:
    """Return that there are too few labelled rows that the champion did not learn from."""
    if state.labelled is None or state.labelled.rows >= policy.min_rows:
        return []
    rows = f"{state.labelled.rows} of {policy.min_rows} new labelled rows"
    return [f"only {rows} up to {state.labelled.window}{_due(state)}"]


def too_early(state: LoopState, weighty: Sequence[Alarm]) -> list[str]:
    """Return that the newest labelled window would teach nothing about what moved."""
    if not weighty or state.labelled is None or any(reaches(state.labelled.end, alarm) for alarm in weighty):
        return []
    first = min(weighty, key=lambda alarm: alarm.start).window
    return [f"nothing new to learn from: {state.labelled.window} ends before the alarm of {first}{_due(state)}"]


def needless(policy: Retrain, state: LoopState) -> list[str]:
    """Return that a training would mend nothing: the drift does not hurt, or the rows are only harder ones."""
    if not policy.mends or state.labelled is None or state.labelled.idle is None:
        return []
    return [f"{state.labelled.window}: {state.labelled.idle}{_due(state)}"]


def _light(policy: Retrain, state: LoopState, alarm: Alarm) -> str | None:
    """Return why an alarm does not matter to the champion, or None if it does."""
    importance = state.champion.importance if state.champion else {}
    moved = sum(importance.get(column, 0.0) for column in alarm.columns)
    if alarm.kind == "schema":
        return f"{alarm.words}; retraining does not mend a schema, a person must"
    if alarm.kind == "concept" or moved >= policy.importance:
        return None
    if PREDICTION in alarm.columns and alarm.score_shift >= policy.score_shift:
        return None
    names = ", ".join(column for column in alarm.columns if column != PREDICTION)
    found = [f"the score moved by {alarm.score_shift:.2f} sd (needs {policy.score_shift:.2f})"]
    carried = f"carry {moved:.1%} of the model's importance (needs {policy.importance:.1%})"
    return " and ".join(
        [
            *(found if PREDICTION in alarm.columns else []),
            *([f"the columns that moved ({names or 'no column'}) {carried}"] if names or not alarm.columns else []),
        ]
    )


def _free(budget: Budget, state: LoopState) -> datetime | None:
    """Return when the next training is within the budget, or None if one is now."""
    latest = sorted(state.trainings)[-budget.trainings :]
    if len(latest) < budget.trainings or latest[0] + budget.per <= state.now:
        return None
    return latest[0] + budget.per


def _due(state: LoopState) -> str:
    if state.labels_due is None:
        return ""
    window = f" of {state.labels_window}" if state.labels_window else ""
    return f"; labels{window} are due at {moment(state.labels_due)}"
