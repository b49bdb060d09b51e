"""The graph's sensors and jobs, run here in the foreground: what the daemon does, without waiting for its ticks."""

import fcntl
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import dagster as dg

from mlops_assets.evidence.records import digest
from mlops_assets.evidence.store import replace
from mlops_assets.settings import PACKAGE, Settings
from mlops_assets.wiring import quiet

NO_RETRY = {"dagster/max_retries": "0"}  # by the daemon: whoever runs in the foreground sees what failed


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run that was executed: which job, which partition, why, and how it ended."""

    job: str
    partition: str | None
    success: bool
    tags: Mapping[str, str]
    problems: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Loop:
    """Runs jobs and ticks sensors of `definitions` against `instance` in this process.

    With `dagster_home`, a run holds the lock of a file there, so that others see whether this process still lives.
    """

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    dagster_home: Path | None = None
    on_run: Callable[[Ran], None] = lambda _: None
    _cursors: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    _run_keys: set[str] = field(default_factory=set[str])

    def run(self, job: str, partition: str | None, tags: Mapping[str, str] | None = None) -> Ran:
        """Execute one run of `job` and return how it ended."""
        with _locked_run(self.dagster_home) as run_id:
            result = self.definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                partition_key=partition,
                run_id=run_id,
                tags={**(tags or {}), **NO_RETRY},
                run_config=quiet("CRITICAL"),
                raise_on_error=False,
            )
        problems = tuple(_problem(event) for event in result.all_events if event.is_step_failure)
        ran = Ran(job=job, partition=partition, success=result.success, tags=dict(tags or {}), problems=problems)
        self.on_run(ran)
        return ran

    def tick(self, sensor: str) -> list[Ran]:
        """Evaluate one sensor once and execute what it asks for; a run key is executed once, as the daemon does."""
        definition = self.definitions.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self._cursors.get(sensor), definitions=self.definitions
        )
        data = definition.evaluate_tick(context)
        self._cursors[sensor] = data.cursor
        ran: list[Ran] = []
        for request in data.run_requests or []:
            if request.run_key in self._run_keys:
                continue
            ran.append(self.run(request.job_name or definition.job.name, request.partition_key, request.tags))
            if request.run_key:
                self._run_keys.add(request.run_key)
        return ran

    def settle(self, product: str, *, rounds: int = 20) -> list[Ran]:
        """Tick the product's sensors of the loop until none asks for anything, and return all runs.

        Raises:
            RuntimeError: If they still ask after `rounds` rounds.
        """
        known = {sensor.name for sensor in self.definitions.sensors or ()}
        here = [name for name in ("scores", "seal", "data", "retrain") if f"{product}_{name}" in known]
        ran: list[Ran] = []
        for _ in range(rounds):
            asked = [run for name in here for run in self.tick(f"{product}_{name}")]
            if not asked:
                return ran
            ran += asked
        raise RuntimeError(f"{product}: the sensors still ask for runs after {rounds} rounds: {ran[-1]}")


def _problem(event: dg.DagsterEvent) -> str:
    """Return what a step failed of, as our own failure says it, else as its innermost cause does, without the stack."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None and error.cls_name != dg.Failure.__name__:
        error = error.cause
    said = error.message.strip().partition(": ")[2] if error else "failed"
    return f"{(event.step_key or '').rpartition('__')[2]}: {said}"


def dagster_home(settings: Settings) -> Path:
    """Return Dagster's folder, made ready: with the shipped `dagster.yaml`, unless somebody put or edited one there."""
    folder, shipped = settings.dagster_home, PACKAGE.parent / "dagster.yaml"
    config, copied = folder / "dagster.yaml", folder / ".dagster.yaml.sha256"
    ours = not config.exists() or (copied.exists() and copied.read_text() == digest(config.read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    if ours and shipped.exists() and (not config.exists() or config.read_bytes() != shipped.read_bytes()):
        replace(copied, digest(shipped.read_bytes()).encode())
        replace(config, shipped.read_bytes())
    return folder


@contextmanager
def opening(dagster_home: Path) -> Generator[None]:
    """Hold the only right to open the instance in `dagster_home`: two that create its tables at once ruin them."""
    with (dagster_home / ".opening.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def abandoned(dagster_home: Path) -> list[Path]:
    """Return the files of runs in the foreground whose process was killed; a file's name is the run's id."""
    found: list[Path] = []
    for path in (dagster_home / "foreground").glob("*"):
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):  # under way, or finished since the folder was listed
            continue
        found.append(path)
    return found


@contextmanager
def _locked_run(dagster_home: Path | None) -> Generator[str]:
    """Give the id of a new run, and hold the lock of its file while the block runs."""
    run_id = str(uuid4())
    if dagster_home is None:
        yield run_id
        return
    path = dagster_home / "foreground" / run_id
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield run_id
        finally:
            path.unlink(missing_ok=True)
