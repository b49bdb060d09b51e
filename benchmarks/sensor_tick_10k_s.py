"""One evaluation of the seal sensor over 10,000 judged windows, a hundred of which have news; beside these alone.

The news are outcomes that came late for fifty windows, and fifty more that have just closed. Dagster holds a finished
run for each judged window. The tick is warm: the sensor has seen the windows once, before the news.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import msgspec
import polars as pl
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster_shared.serdes import serialize_value

from benchmarks.measure import fastest
from benchmarks.results import Result, result
from mlops_assets.asking import ASKED
from mlops_assets.catalogue import read_catalogue
from mlops_assets.definitions import build
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Code, Envelope, Input, Output, Place, Record, canonical, digest
from mlops_assets.evidence.store import replace
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.ids import Ids, text, to_ms
from mlops_assets.serving.log.outcomes import OutcomeLog, outcomes
from mlops_assets.serving.log.seal import mark_sealed
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings, adopt, load_settings

AIM = 2.0
ROUNDS = 5
JUDGED, LATE, CLOSED = 10_000, 50, 50
START, HOUR = datetime(2024, 1, 1, tzinfo=UTC), timedelta(hours=1)
NAME = "hourly"
DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: hourly
  source: {path: hourly.csv, time: at, key: id}
  label: {column: good}
  windows: {every: day, start: 2024-01-01}
  monitor: {every: hour}
  features: [width]
"""
SOURCE = pl.DataFrame({"at": ["2024-01-01T00:00:00Z"], "id": ["a"], "width": [0.5], "good": [1]})
COLUMNS = msgspec.Raw(msgspec.msgpack.encode(Columns([("width", "float")], [("width", "float")])))


def measure() -> list[Result]:
    """Return the seconds of a tick that has nothing to look into but what is new."""
    with _world(JUDGED) as many, _world(LATE) as few:
        whole, floor = fastest(ROUNDS, many.tick, few.tick)
    beside = f"the same tick where these {LATE + CLOSED} are all the windows there are"
    return [result("sensor_tick_10k_s", whole, "s", beside=beside, beside_figure=floor, aim=AIM)]


@dataclass(kw_only=True)
class World:
    """A product with its evidence, its Dagster instance, and the cursor of its seal sensor."""

    settings: Settings
    archive: Archive
    product: ModelProduct
    definitions: dg.Definitions
    instance: dg.DagsterInstance
    cursor: str | None = None

    def tick(self, asked: int = LATE + CLOSED) -> float:
        """Return how long an evaluation of the sensor takes, in s; it has to ask for as many runs as are `asked`."""
        adopt(self.settings)
        sensor = self.definitions.resolve_sensor_def(f"{NAME}_seal")
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, definitions=self.definitions)
        began = time.perf_counter()
        found = sensor.evaluate_tick(context)
        taken = time.perf_counter() - began
        self.cursor = found.cursor
        if len(found.run_requests or []) != asked:
            raise RuntimeError(f"the sensor asked for {len(found.run_requests or [])} runs, not for {asked}")
        return taken


@contextmanager
def _world(judged: int) -> Iterator[World]:
    """A deployment with `judged` windows that the sensor has seen; then the news come."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        settings = _declared(Path(folder))
        product = read_catalogue(settings.defs).product(NAME)
        definitions = build(settings)
        world = World(
            settings=settings,
            archive=Archive(settings.home),
            product=product,
            definitions=definitions,
            instance=instance,
        )
        log, ids = OutcomeLog(settings.serving(NAME) / "outcomes", "w"), Ids()
        windows = product.grid.keys_until(START + (judged + CLOSED) * HOUR)
        given = {window: ids.new(to_ms(product.grid.bounds(window)[0])) for window in windows}
        for window in windows[:judged]:
            _judged(world, window, log, given[window])
        _finished(instance, windows[:judged])
        _closed_until(world, judged)
        world.tick(asked=0)
        for window in windows[judged - LATE : judged]:
            _told(log, window, given[window], "0", at=ids.new(to_ms(START)))
        for window in windows[judged:]:
            _answered(world, window, given[window])
        _closed_until(world, judged + CLOSED)
        yield world


def _declared(folder: Path) -> Settings:
    settings = changed(load_settings(home=folder / "home"), root=folder, defs=folder / "defs")
    (folder / "defs" / NAME).mkdir(parents=True)
    (folder / "defs" / NAME / "defs.yaml").write_text(DECLARATION)
    SOURCE.write_csv(folder / "hourly.csv")
    act = Act(kind="promote", product=NAME, segment="all", version=1, record="-", by="gate", reason="-", at="-")
    Archive(settings.home).ledger.add(act)
    return settings


def _judged(world: World, window: str, log: OutcomeLog, given: bytes) -> None:
    """Let a window of one prediction be told of, sealed and judged, as its run would; its log is gone."""
    _told(log, window, given, "1", at=given)
    reported = outcomes(world.settings.serving(NAME), window)
    state = {"outcomes": content_root(reported)}
    sealed = _made(world.archive, Stage.PREDICTIONS, window, ("predictions", "outcomes"), [], state)
    mark_sealed(world.settings.serving(NAME), window, "all", [])
    read = [sealed.as_input(), sealed.as_input("outcomes")]
    for stage in (Stage.DRIFT, Stage.PERFORMANCE):
        _made(world.archive, stage, window, ("verdict",), read, {})


def _made(
    archive: Archive, stage: Stage, window: str, outputs: Sequence[str], inputs: Sequence[Input], state: dict[str, str]
) -> Held:
    """Keep a record as `Archive.make` does, but for the journal and the recipe, which no sensor reads."""
    record = Record(
        recipe="-",
        place=Place(product=NAME, stage=stage, partition=f"all|{window}"),
        inputs=list(inputs),
        outputs=[Output(name=name, root=digest(f"{name} {window}".encode())) for name in outputs],
        state=state,
        code=Code(id="-"),
    )
    body = canonical(record)
    envelope = Envelope(record=digest(body), files=[], at="-", host="-", run_id=None, duration_s="0")
    sealed = canonical(envelope)
    home, (own, other) = archive.home, (envelope.record, digest(sealed))
    replace(home / "envelopes" / other[:2] / other, sealed)
    replace(home / "records" / own[:2] / own, body)
    replace(home / "records" / own[:2] / f"{own}.envelope", other.encode())
    replace(home / "heads" / NAME / stage / record.place.partition, own.encode())
    return Held(id=own, record=record, envelope=envelope)


def _answered(world: World, window: str, given: bytes) -> None:
    """Log a prediction, and finish the file."""
    log = LogWriter(world.settings.serving(NAME) / "log", world.product.grid, "w")
    log.append(given, Body(9, "d", [Part("all", 1, COLUMNS, [Row(None, "a", 0.5, (0.5,), None)])]))
    log.close()


def _told(log: OutcomeLog, window: str, given: bytes, label: str, *, at: bytes) -> None:
    """File what became of a prediction."""
    log.append(at, {window: [(text(given), label)]})


def _closed_until(world: World, hours: int) -> None:
    """Let the worker say that it is past so many hours."""
    worker = Worker(writer="w", pid=1, url="", clock="replay", started=START, since=START)
    Registration(world.settings.serving(NAME), worker).beat(START + hours * HOUR)


def _finished(instance: dg.DagsterInstance, windows: Sequence[str]) -> None:
    """Let Dagster hold the run that has sealed each window, as if the sensor had asked for it."""
    runs: list[dict[str, str]] = []
    tags: list[dict[str, str]] = []
    for window in windows:
        asked = f"all|{window}@{digest(window.encode())[:16]}"
        own = {"dagster/partition": f"all|{window}", "dagster/run_key": f"{asked} attempt 1", ASKED: asked}
        origin = {"dagster/sensor_name": f"{NAME}_seal", "mlops_assets/product": NAME}
        run = dg.DagsterRun(f"{NAME}_seal", str(uuid4()), tags={**own, **origin}, status=dg.DagsterRunStatus.SUCCESS)
        body = {"run_body": serialize_value(run), "partition": f"all|{window}"}
        runs.append({"run_id": run.run_id, "pipeline_name": run.job_name, "status": "SUCCESS", **body})
        tags += [{"run_id": run.run_id, "key": key, "value": value} for key, value in run.tags.items()]
    with instance.run_storage.connect() as connection:  # one by one they take a quarter of an hour
        connection.execute(RunsTable.insert(), runs)
        connection.execute(RunTagsTable.insert(), tags)
