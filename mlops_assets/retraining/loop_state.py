"""Evidence and ledger -> the state that a retraining decision depends on; and the decision, stored."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.step import NotReady, parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.decisions import (
    Alarm,
    Champion,
    Labelled,
    LoopState,
    RetrainDecision,
    Training,
    alarm_of,
    decide,
    failed_attempts,
    open_alarms,
)
from mlops_assets.retraining.stored import Stored, store_decision, stored_decisions
from mlops_assets.settings import Settings
from mlops_assets.training.step import ModelStep


def decide_segment(
    product: ModelProduct, settings: Settings, segment: str, wall: datetime, *, running: bool
) -> RetrainDecision | None:
    """Return the decision on a segment, stored if its inputs or its answer are new; None before the first verdict."""
    archive = Archive(settings.home)
    now = product_now(settings.serving(product.name), wall)
    state = loop_state(product, settings, archive, segment, now, running=running)
    if state is None:
        return None
    decision = decide(product.retrain, state)
    kept = Stored(
        id=decision.id,
        product=decision.product,
        segment=segment,
        at=stamp(decision.at),
        decided_at=stamp(wall),
        retrain=decision.retrain,
        target=decision.target,
        reasons=list(decision.reasons),
        alarms=list(decision.alarms),
        trigger=decision.trigger,
    )
    store_decision(settings.home, kept)
    return decision


def loop_state(
    product: ModelProduct, settings: Settings, archive: Archive, segment: str, now: datetime, *, running: bool
) -> LoopState | None:
    """Return what is known of a segment's loop, or None if no window of it was ever judged."""
    champion = archive.ledger.champion(product.name, segment)
    verdicts = archive.heads(product.name, Stage.DRIFT)
    if champion is None or not any(parse(partition)[0] == segment for partition in verdicts):
        return None
    decided = [each for each in stored_decisions(settings.home, product.name) if each.segment == segment]
    trainings = list(_trainings(product, archive, segment, decided))
    serving = _champion(archive, champion)
    alarms = list(_alarms(product, archive, segment, serving))
    paused = archive.ledger.paused(product.name)
    labelled = _labelled(product, settings, archive, segment)
    due = _due(product, labelled, now)
    return LoopState(
        product=product.name,
        segment=segment,
        now=now,
        alarms=open_alarms(alarms, trainings),
        champion=serving,
        labelled=labelled,
        labels_window=due[0] if due else None,
        labels_due=due[1] if due else None,
        last_retrain=max((datetime.fromisoformat(each.at) for each in decided if each.retrain), default=None),
        attempts=failed_attempts(trainings),
        running=running,
        paused=paused.reason if paused else None,
    )


def _champion(archive: Archive, act: Act) -> Champion:
    model = archive.held(act.record or "").record
    return Champion(
        version=act.version or 0,
        window=parse(model.place.partition)[1],
        importance=msgspec.convert(model.facts["importance"], dict[str, float]),
    )


def _alarms(product: ModelProduct, archive: Archive, segment: str, champion: Champion) -> Iterator[Alarm]:
    """Yield the alarms about the model that serves; what was wrong with its predecessors is no reason to replace it.

    It serves no window before the end of the data that it was trained on, so those are not even read.
    """
    version, since = champion.version, product.windows.bounds(champion.window)[1] if product.windows else None
    for stage in (Stage.DRIFT, Stage.PERFORMANCE):
        for partition, record in archive.heads(product.name, stage).items():
            if parse(partition)[0] != segment or (since and product.grid.bounds(parse(partition)[1])[1] <= since):
                continue
            held = archive.held(record)
            if held.record.facts["state"] != "drift" or held.record.facts["version"] != version:
                continue
            verdict = msgspec.json.decode(archive.data(held, "verdict"), type=Verdict)
            window = parse(partition)[1]
            start, end = product.grid.bounds(window)
            if alarm := alarm_of(verdict, record=record, window=window, start=start, end=end):
                yield alarm


def _trainings(product: ModelProduct, archive: Archive, segment: str, decided: list[Stored]) -> Iterator[Training]:
    """Yield the candidates that the gate has decided on, with the alarms that asked for them."""
    asked = {each.id: tuple(each.alarms) for each in decided}
    registered = {act.record: act for act in archive.ledger.acts(product.name, "register")}
    for act in archive.ledger.acts(product.name, "promote", "refuse"):
        if act.segment == segment and act.record in registered:
            yield Training(
                until=_end(product, registered[act.record]),
                alarms=asked.get(str(registered[act.record].facts.get("decision")), ()),
                failed=act.kind == "refuse",
            )


def _end(product: ModelProduct, registered: Act) -> datetime | None:
    return product.windows.bounds(str(registered.facts["window"]))[1] if product.windows else None


def _labelled(product: ModelProduct, settings: Settings, archive: Archive, segment: str) -> Labelled | None:
    """Return the newest window whose features are made and good: only those with due labels ever are."""
    heads = archive.heads(product.name, Stage.FEATURES)
    mine = sorted((parse(p)[1], record) for p, record in heads.items() if parse(p)[0] == segment)
    for window, record in reversed(mine):
        held = archive.held(record)
        if held.record.failed or not held.record.outputs[0].rows:
            continue
        step = ModelStep(product=product, archive=archive, settings=settings)
        try:
            model = archive.made(step.prepare(f"{segment}|{window}").recipe)
        except NotReady:
            continue
        end = product.windows.bounds(window)[1] if product.windows else None
        trained = model is not None and _decided_on(archive, model)
        return Labelled(window=window, rows=held.record.outputs[0].rows, end=end, trained=trained)
    return None


def _decided_on(archive: Archive, model: Held) -> bool:
    """Return whether the gate has seen a model; else its run was cut short, and has to be made again."""
    decision = archive.head(msgspec.structs.replace(model.record.place, stage=Stage.CHAMPION))
    return decision is not None and any(source.record == model.id for source in decision.record.inputs)


def _due(product: ModelProduct, labelled: Labelled | None, now: datetime) -> tuple[str, datetime] | None:
    """Return the next window to learn from, if there is one, and when its labels are due."""
    if product.windows is None:
        return None
    start = labelled.end if labelled and labelled.end else now
    if not product.windows.holds(start):
        return None
    window = product.windows.key(start)
    return window, product.windows.bounds(window)[1] + product.label.delay
