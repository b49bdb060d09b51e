"""Evidence and ledger -> the state that a retraining decision depends on; and the decision, stored."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.ledger import stamp
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.alarms import Alarm, failed_attempts, open_alarms
from mlops_assets.retraining.asked import RUNS, RunsOf, latest_yes, outstanding, trained
from mlops_assets.retraining.champions import learned_rows, serving_champion
from mlops_assets.retraining.decisions import RetrainDecision, decide
from mlops_assets.retraining.history import dismissed, on_trial, open_asks, pause, trainings
from mlops_assets.retraining.mending import idle
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.state import Champion, Labelled, LoopState
from mlops_assets.retraining.stored import Stored
from mlops_assets.settings import Settings


def decide_segment(
    product: ModelProduct,
    settings: Settings,
    segment: str,
    wall: datetime,
    *,
    running: bool,
    reading: Reading | None = None,
    runs_of: RunsOf | None = None,
) -> RetrainDecision | None:
    """Return the decision on a segment, stored if its inputs or its answer are new; None before the first verdict.

    Without `runs_of` a training that was asked for does not count as under way. Whoever decides at the same time waits,
    so that two daemons come to one decision.
    """
    reading = reading or opened(settings, product)
    now = product_now(settings.serving(product.name), wall)
    with reading.decisions.deciding():
        asked, failed = _under_way(product, settings, reading, segment, runs_of)
        state = loop_state(product, settings, reading, segment, now, running=running or asked, failed_runs=failed)
        if state is None:
            return None
        decision = decide(product.retrain, state)
        reading.decisions.keep(_stored(decision, wall))
    return decision


def opened(settings: Settings, product: ModelProduct) -> Reading:
    """Return the product's evidence as it is now."""
    reading = Reading(settings.home, product)
    reading.refresh()
    return reading


def loop_state(
    product: ModelProduct,
    settings: Settings,
    reading: Reading,
    segment: str,
    now: datetime,
    *,
    running: bool,
    failed_runs: int = 0,
) -> LoopState | None:
    """Return what is known of a segment's loop; None without a champion, or while there is nothing to decide on."""
    decided = reading.decisions.of(segment)
    champion = serving_champion(product, settings, reading, segment, now)
    asks = open_asks(reading.acts(), segment, decided)
    if champion is None or not (reading.heads(Stage.DRIFT, segment) or asks or _asks_by_itself(product)):
        return None
    alarms = _open(product, reading, segment, champion)
    labelled = _labelled(product, settings, reading, segment, champion)
    if labelled and alarms and product.retrain.mends and not labelled.trained:
        labelled = msgspec.structs.replace(labelled, idle=idle(reading, segment, champion, labelled.window))
    due = _due(product, labelled, now)
    yes = sorted(datetime.fromisoformat(each.at) for each in decided if each.retrain)
    return LoopState(
        product=product.name,
        segment=segment,
        now=now,
        alarms=alarms,
        champion=champion,
        labelled=labelled,
        labels_window=due[0] if due else None,
        labels_due=due[1] if due else None,
        last_retrain=yes[-1] if yes else None,
        trainings=tuple(yes[-product.retrain.budget.trainings :]) if product.retrain.budget else (),
        attempts=failed_attempts(list(trainings(product, reading.acts(), segment, decided))),
        asks=asks,
        failed_runs=failed_runs,
        running=running,
        paused=pause(reading.acts()),
        on_trial=on_trial(reading.acts(), segment),
    )


def open_now(product: ModelProduct, settings: Settings, reading: Reading, segment: str) -> tuple[Alarm, ...]:
    """Return the open alarms of a segment, oldest first; none without a champion."""
    champion = serving_champion(product, settings, reading, segment, None)
    return _open(product, reading, segment, champion) if champion else ()


def _under_way(
    product: ModelProduct, settings: Settings, reading: Reading, segment: str, runs_of: RunsOf | None
) -> tuple[bool, int]:
    """Return whether a training was asked for and is not over, and how many runs of it failed if that was all."""
    yes = latest_yes(reading.decisions.of(segment))
    if yes is None or runs_of is None:
        return False, 0
    runs = runs_of(yes.id)
    waits = outstanding(product, settings, reading, yes, runs)
    return waits, runs.failed if runs.failed >= RUNS and not (waits or runs.ended) else 0


def _stored(decision: RetrainDecision, wall: datetime) -> Stored:
    return Stored(
        id=decision.id,
        product=decision.product,
        segment=decision.segment,
        at=stamp(decision.at),
        decided_at=stamp(wall),
        retrain=decision.retrain,
        target=decision.target,
        reasons=list(decision.reasons),
        alarms=list(decision.alarms),
        trigger=decision.trigger,
        asks=list(decision.asks),
        considered=list(decision.considered),
    )


def _asks_by_itself(product: ModelProduct) -> bool:
    policy = product.retrain
    return policy.every is not None or policy.on_new_data or policy.on_new_recipe


def _open(product: ModelProduct, reading: Reading, segment: str, champion: Champion) -> tuple[Alarm, ...]:
    acts = reading.acts()
    answers = list(trainings(product, acts, segment, reading.decisions.of(segment)))
    return open_alarms(list(_alarms(product, reading, segment, champion)), answers, dismissed(acts))


def _alarms(product: ModelProduct, reading: Reading, segment: str, champion: Champion) -> Iterator[Alarm]:
    """Yield the alarms about the model that serves; what was wrong with its predecessors is no reason to replace it.

    It serves no window before the end of the data that it was trained on, so those are not even read.
    """
    since = product.grid.key(product.windows.bounds(champion.window)[1]) if product.windows else ""
    for stage in (Stage.DRIFT, Stage.PERFORMANCE):
        for window, record in reading.heads(stage, segment).items():
            if window < since:  # keys sort as their windows do
                continue
            judged = reading.judged(record)
            if judged.alarm is not None and judged.version == champion.version:
                yield judged.alarm


def _labelled(
    product: ModelProduct, settings: Settings, reading: Reading, segment: str, champion: Champion
) -> Labelled | None:
    """Return the newest window whose features are made and good: only those with due labels ever are."""
    known = learned_rows(reading, segment)
    rows = {
        window: held.record.outputs[0].rows or 0
        for window, record in reading.heads(Stage.FEATURES, segment).items()
        if window >= min(known, default=champion.window) and not (held := reading.held(record)).record.failed
    }
    for window in sorted((window for window in rows if rows[window]), reverse=True):
        try:
            seen = trained(product, settings, reading.archive, f"{segment}|{window}")
        except NotReady:
            continue
        end = product.windows.bounds(window)[1] if product.windows else None
        new = sum(max(count - known.get(each, 0), 0) for each, count in rows.items() if each <= window)
        return Labelled(window=window, rows=new, end=end, trained=seen)
    return None


def _due(product: ModelProduct, labelled: Labelled | None, now: datetime) -> tuple[str, datetime] | None:
    """Return the next window to learn from, if there is one, and when its labels are due."""
    if product.windows is None:
        return None
    start = labelled.end if labelled and labelled.end else now
    if not product.windows.holds(start):
        return None
    window = product.windows.key(start)
    return window, product.windows.bounds(window)[1] + product.label.delay
