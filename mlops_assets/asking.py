"""What is due -> the runs that a sensor asks for: each once, again if it came to nothing, never too many at a time.

What is due is read from the evidence, so nothing is lost with a cursor, a request or a run. Dagster's runs only say
whom not to ask again just now. Two daemons may still ask at the same moment: of two runs of a partition one waits for
the other and is skipped by its recipe.
"""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice

import dagster as dg

from mlops_assets.evidence.step import Due, NotReady, parse
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.wiring import EVERY_S, under_way

AT_ONCE = 100  # runs of a job that wait or run; what else is due is asked for as these end
ATTEMPTS = 3  # of a run that fails, one right after the other; then ever more rarely, until its inputs change
LONGEST = timedelta(days=1)  # between two attempts
ASKED = "mlops_assets/asked"  # tag: partition and version of its inputs, the same in all attempts
REASON = "mlops_assets/reason"
IN_TURN = "mlops_assets/in_turn"  # dagster.yaml: one run of a value at a time, so windows are made in their order
AFTER_TRAININGS = {"dagster/priority": "-1"}  # in the queue: two hundred windows do not hold up a retraining
RUN_KEY = "dagster/run_key"
FOREGROUND = {"dagster/max_retries": "0"}.items()  # whoever ran it has seen that it failed
AskedFor = Callable[[Collection[str]], Generator[Due]]
Following = Callable[[dg.DagsterInstance, datetime], AskedFor]


def follower(name: str, job: UnresolvedAssetJobDefinition, due: Following, description: str) -> dg.SensorDefinition:
    """Return the sensor that asks for a run of `job` for each partition that is `due` at the time of its tick.

    It has no cursor to lose: what it need not look into again is noted beside the evidence.
    """

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        try:
            requests = run_requests(context.instance, job.name, due(context.instance, now), now)
        except NotReady as problem:
            return dg.SkipReason(str(problem))
        return dg.SensorResult(run_requests=requests)

    return follow


def run_requests(instance: dg.DagsterInstance, job: str, due: AskedFor, now: datetime) -> list[dg.RunRequest]:
    """Return the runs to ask for now, in the order of `due`, which gets the partitions that wait or run to leave out.

    Those are read first: a run that ends while `due` looks at the evidence is not asked for again.
    """
    busy = under_way(instance, job, "dagster/partition")
    found: list[dg.RunRequest] = []
    with closing(due(busy)) as waiting:
        while len(found) < AT_ONCE - len(busy) and (batch := list(islice(waiting, AT_ONCE))):
            keys = fresh_keys(instance, job, [_asked(each) for each in batch], now)
            found += [_request(job, each, keys[_asked(each)]) for each in batch if _asked(each) in keys]
    return found[: AT_ONCE - len(busy)]


def fresh_keys(instance: dg.DagsterInstance, job: str, asked: Sequence[str], now: datetime) -> dict[str, str]:
    """Return the run key under which to ask for each of `asked`; left out is what runs, or has to wait."""
    tried: dict[str, list[dg.RunRecord]] = {each: [] for each in asked}
    for record in instance.get_run_records(dg.RunsFilter(job_name=job, tags={ASKED: list(asked)})):
        tried[record.dagster_run.tags[ASKED]].append(record)
    keys = {each: _key(each, records, now) for each, records in tried.items()}
    return {each: key for each, key in keys.items() if key is not None}


def _asked(due: Due) -> str:
    return f"{due.partition}@{due.version}"


def _request(job: str, due: Due, key: str) -> dg.RunRequest:
    tags = {ASKED: _asked(due), REASON: due.why[:500], IN_TURN: f"{job} {parse(due.partition)[0]}"}
    return dg.RunRequest(partition_key=due.partition, run_key=key, tags={**tags, **AFTER_TRAININGS})


def _key(asked: str, tried: Sequence[dg.RunRecord], now: datetime) -> str | None:
    runs = [record.dagster_run for record in tried]
    for run in runs:
        if run.status == dg.DagsterRunStatus.NOT_STARTED:  # its daemon was killed: who asks under its key submits it
            return run.tags.get(RUN_KEY)
        if not run.is_finished:
            return None
    pause = _pause(runs) if runs else None
    if pause and now < max(record.update_timestamp for record in tried) + pause:
        return None
    return f"{asked} attempt {len(tried) + 1}"


def _pause(runs: Sequence[dg.DagsterRun]) -> timedelta | None:
    """Return how long to wait after runs that left their partition due, if at all; the newest is the first."""
    newest, count = runs[0], len(runs)
    taken_up = newest.is_complete_and_waiting_to_retry or newest.tags.items() >= FOREGROUND
    if newest.status == dg.DagsterRunStatus.FAILURE and count < ATTEMPTS and not taken_up:
        return None
    return min(timedelta(hours=1) * 2.0 ** min(count - ATTEMPTS, 5), LONGEST)
