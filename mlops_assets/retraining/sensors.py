"""The retrain sensor: stored decisions, the trainings that they ask for, and the table of both in the UI."""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock

import dagster as dg

from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.signed import id_of
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.approvals import identities
from mlops_assets.registry.sensors import decision_requests
from mlops_assets.retraining.asked import Request, Runs, RunsOf, next_request
from mlops_assets.retraining.episodes import mean
from mlops_assets.retraining.evidenced import known_drifts
from mlops_assets.retraining.loop_state import decide_segment
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.shown import answer, mean_words, table
from mlops_assets.retraining.stored import Stored
from mlops_assets.settings import Settings, load_settings
from mlops_assets.wiring import EVERY_S, UNDER_WAY, under_way

DECISION, ATTEMPT = "mlops_assets/decision", "mlops_assets/attempt"
TABLE = "decisions"  # the external asset that shows them
SHOWN = 20  # decisions in its table; of older ones, those not told yet, no more are told either
TAG_CHARACTERS = 2_000
ASKED_BY = "mlops_assets/asked_by"  # tag: a JSON list of who asked by hand; the model's registration keeps it


class Kept:
    """What a tick leaves for the next one: the evidence read so far, and the decisions whose runs are over."""

    def __init__(self, product: ModelProduct) -> None:
        """Remember nothing yet of `product`."""
        self._product = product
        self._lock = Lock()
        self._reading: Reading | None = None
        self.over: set[str] = set()

    @contextmanager
    def reading(self, settings: Settings) -> Generator[Reading]:
        """Give the evidence as it is now; one tick at a time, and what turns out broken is not kept."""
        with self._lock:
            if self._reading is None or self._reading.archive.home != settings.home:
                self._reading, self.over = Reading(settings.home, self._product), set()
            try:
                self._reading.refresh()
                yield self._reading
            except BrokenEvidence:
                self._reading = None
                raise


def retrain_sensor(
    product: ModelProduct, job: UnresolvedAssetJobDefinition, decide: UnresolvedAssetJobDefinition | None = None
) -> dg.SensorDefinition:
    """Return the sensor that decides for each segment, stores the decision, and asks for a training if it is a yes.

    It asks for `decide` too, where people have agreed on a candidate, or rejected it, since the gate has.
    """
    kept = Kept(product)

    @dg.sensor(
        name=f"{product.name}_retrain",
        jobs=[job, decide] if decide else [job],
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Decides whether to retrain; every decision is stored with its reasons (mlops-assets why).",
    )
    def retrain(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = load_settings()
        with kept.reading(settings) as reading:
            asked, said = _tick(product, settings, reading, context.instance, job.name, kept.over)
            if decide:
                wall = datetime.now(UTC)
                asked += decision_requests(product, settings, context.instance, decide.name, reading.acts(), wall)
        return dg.SensorResult(run_requests=asked, skip_reason=None if asked else said)

    return retrain


def _tick(
    product: ModelProduct,
    settings: Settings,
    reading: Reading,
    instance: dg.DagsterInstance,
    job: str,
    over: set[str],
) -> tuple[list[dg.RunRequest], str]:
    busy, runs_of = under_way(instance, job, "dagster/partition/segment"), _runs(instance, job, over)
    requests: list[dg.RunRequest] = []
    said: list[str] = []
    for segment in product.segments:
        wall, running = datetime.now(UTC), segment in busy
        decision = decide_segment(product, settings, segment, wall, running=running, reading=reading, runs_of=runs_of)
        if decision is not None:
            said.append(f"{segment}: {', '.join(decision.reasons)}")
        asked = None if running else next_request(product, settings, reading, segment, wall, runs_of)
        requests += [_request(asked, job, _asked_by(reading, asked.decision))] if asked else []
    _tell(product, reading, instance)
    return requests, "; ".join(said) or "nothing judged yet"


def _asked_by(reading: Reading, decision: Stored) -> list[str]:
    """Return who asked by hand for the training that was decided on, by name and by key."""
    asks = [act for act in reading.acts() if act.kind == "retrain" and id_of(act) in decision.asks]
    return [who for act in asks for who in identities(act)]


def _runs(instance: dg.DagsterInstance, job: str, over: set[str]) -> RunsOf:
    """Return what tells of a decision's runs; those that are over are not looked up again."""

    def runs_of(decision: str) -> Runs:
        if decision in over:
            return Runs(ended=True)
        found = _summed(instance.get_runs(dg.RunsFilter(job_name=job, tags={DECISION: decision})))
        if found.ended:
            over.add(decision)
        return found

    return runs_of


def _summed(runs: Sequence[dg.DagsterRun]) -> Runs:
    """Return what became of runs. One that was created and never submitted counts as none: it is asked for again."""
    good = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED)
    failed = {run.tags.get(ATTEMPT, "1") for run in runs if run.status == dg.DagsterRunStatus.FAILURE}
    return Runs(
        failed=len(failed),
        waiting=any(run.status in (*UNDER_WAY, dg.DagsterRunStatus.CANCELING) for run in runs)
        or any(run.is_complete_and_waiting_to_retry for run in runs),
        ended=any(run.status in good for run in runs),
    )


def _request(asked: Request, job: str, by: list[str]) -> dg.RunRequest:
    decision = asked.decision
    return dg.RunRequest(
        job_name=job,
        partition_key=f"{decision.segment}|{decision.target}",
        run_key=asked.key,
        tags={
            DECISION: decision.id,
            ATTEMPT: str(asked.attempt),
            "mlops_assets/product": decision.product,
            "mlops_assets/segment": decision.segment,
            "mlops_assets/trigger": decision.trigger or "",
            "mlops_assets/reason": "; ".join(decision.reasons)[:500],
            "mlops_assets/alarms": " ".join(decision.alarms)[:TAG_CHARACTERS],
            **({ASKED_BY: json.dumps(by)} if by else {}),
        },
    )


def _tell(product: ModelProduct, reading: Reading, instance: dg.DagsterInstance) -> None:
    """Materialize the table of decisions once for each that is new, also for one whose teller was killed."""
    key = dg.AssetKey(product.key(TABLE))
    latest = instance.get_latest_materialization_event(key)
    told = str(latest.asset_materialization.metadata["entry"].value) if latest and latest.asset_materialization else ""
    entries = reading.decisions.entries()
    hashes = [entry for entry, _ in entries]
    if not entries or hashes[-1] == told:
        return
    first = hashes.index(told) + 1 if told in hashes else len(entries) - SHOWN
    times = _times(product, reading)
    for place in range(max(first, 0), len(entries)):
        shown = [decision for _, decision in entries[max(place + 1 - SHOWN, 0) : place + 1]]
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=_shown(hashes[place], shown, times)))


def _times(product: ModelProduct, reading: Reading) -> str:
    try:
        means = mean(known_drifts(product, reading))
    except BrokenEvidence as problem:  # of the past; it stops no training
        return f"not known: {problem}"
    return mean_words(means.to_detect_s, means.to_repair_s)


def _shown(entry: str, shown: list[Stored], times: str) -> dict[str, dg.MetadataValue]:
    newest = shown[-1]
    return {
        "decisions": dg.MetadataValue.md(table(shown)),
        "segment": dg.MetadataValue.text(newest.segment),
        "answer": dg.MetadataValue.text(answer(newest)),
        "trigger": dg.MetadataValue.text(newest.trigger or "nobody"),
        "reasons": dg.MetadataValue.text("; ".join(newest.reasons)),
        "alarms": dg.MetadataValue.json(newest.considered),
        "times": dg.MetadataValue.text(times),
        "decision": dg.MetadataValue.text(newest.id),
        "entry": dg.MetadataValue.text(entry),
    }
