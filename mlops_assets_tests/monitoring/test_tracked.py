"""The graph with a real MLflow store: what an operator reads of a window's quality, and what its model's run shows."""

import fcntl
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.loop import Loop
from mlops_assets.monitoring import tracked
from mlops_assets.monitoring.performance import Quality, performance
from mlops_assets.monitoring.tracked import track, window_number
from mlops_assets.settings import Settings, exports
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.windows import Every, Grid
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, deployment, looped, over, sales, write
from mlops_assets_tests.monitoring.test_performance import BINARY, labelled
from mlops_assets_tests.test_graph import definitions

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY = "bath|2026-01-20"
STEP = 15  # windows of a day from 2026-01-05 on
WATCHED = HOUSES.model_copy(update={"groups": ("street",)})


@dataclass(frozen=True)
class Watched:
    """A day of Bath's requests through the graph: sealed without labels, then with those that came by key."""

    settings: Settings
    loop: Loop
    run_id: str

    @property
    def shown(self) -> list[dict[str, object]]:
        """The metadata of the day's quality, newest first."""
        wanted = dg.AssetRecordsFilter(dg.AssetKey(["houses", "performance"]), asset_partitions=[DAY])
        found = self.loop.instance.fetch_materializations(wanted, limit=10).records
        return [{k: v.value for k, v in (each.asset_materialization.metadata).items()} for each in found]  # type: ignore[union-attr]

    @property
    def held(self) -> Held:
        found = Archive(self.settings.home).head(Place(product="houses", stage="performance", partition=DAY))
        assert found is not None
        return found

    def history(self, metric: str) -> list[tuple[int, float]]:
        """Step and value of everything that MLflow was told of a metric."""
        client = MlflowTracker(self.settings.mlflow_uri).client
        return [(each.step, each.value) for each in client.get_metric_history(self.run_id, metric)]


def quality(*, right: int, rows: int = 60) -> Quality:
    """Labelled rows, `right` of them called rightly."""
    return performance(labelled([0.9] * rows, ["1"] * right + ["0"] * (rows - right)), BINARY).quality


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two weeks make a champion; it answers on the 20th; the third week's rows and labels come to the source later."""
    settings = deployment(tmp_path_factory.mktemp("watched"), sales(2, rows=100))
    rows = sales(3, rows=100).filter(pl.col("town") == "bath").tail(100)
    with (
        pytest.MonkeyPatch.context() as patch,
        looped(settings, definitions(settings, WATCHED)) as loop,
    ):
        for name, value in exports(settings).items():
            patch.setenv(name, value)
        made = [loop.run("houses_data", f"bath|{week}") for week in WEEKS[:2]]
        made += [loop.run("houses_retrain", f"bath|{WEEKS[1]}")]
        archive = Archive(settings.home)
        act = archive.ledger.champion("houses", "bath")
        assert act is not None
        answered(settings, archive.held(act.record or ""), 1, rows, NOON, "w")
        over(settings, NOON + timedelta(days=1), "w", since=datetime(2026, 1, 20))
        made += loop.tick("houses_seal")
        write(settings, pl.concat([sales(2, rows=100), rows]))
        made += [loop.run("houses_data", f"bath|{WEEKS[2]}")]
        made += loop.tick("houses_seal") + loop.tick("houses_seal")
        assert [ran.problems for ran in made] == [()] * len(made)
        run_id = str(archive.ledger.acts("houses", "register")[0].facts["mlflow_run_id"])
        yield Watched(settings, loop, run_id)


def test_the_seal_sensor_makes_quality_anew_when_labels_come_by_key_and_only_then(watched: Watched):
    after, before = watched.shown

    assert (before["labels"], after["labels"]) == (0, 100)
    assert (before["mature"], after["mature"]) == (False, True)


def test_an_operator_reads_each_metric_with_its_interval_and_maturity(watched: Watched):
    after, before = watched.shown

    assert "Not judged yet: 0% of 100 rows have a label, needs 80%" in str(before["quality"])
    assert "| metric | value | 95% interval | labels |" in str(after["quality"])
    assert f"| accuracy | {float(str(after['accuracy'])):.4g} | [0." in str(after["quality"])
    assert "100 of 100 (100%) |" in str(after["quality"])
    assert "| group | rows | labels | selected |" in str(after["groups of street"])
    assert "estimate" in str(after["estimated quality"])


def test_matured_metrics_are_on_the_run_of_the_version_that_answered(watched: Watched):
    after, before = watched.shown

    assert before["mlflow"] == "not written: 0% of 100 rows have a label, needs 80%"
    assert after["mlflow"] == f"step {STEP} of run {watched.run_id}"
    assert watched.history("live.accuracy") == [(STEP, after["accuracy"])]
    assert watched.history("live.matured") == [(STEP, 1.0)]


def said(watched: Watched, *, uri: str = "", right: int = 6, rows: int = 60, later: float = 0) -> str:
    """What is said of writing the day's record, made `later` (in seconds) with other labels."""
    at = datetime.fromisoformat(watched.held.envelope.at) + timedelta(seconds=later)
    envelope = msgspec.structs.replace(watched.held.envelope, at=at.isoformat())
    held = replace(watched.held, envelope=envelope)
    tracker = MlflowTracker(uri or watched.settings.mlflow_uri)
    return track(tracker, Archive(watched.settings.home).ledger, HOUSES, held, quality(right=right, rows=rows))


def test_the_same_record_said_twice_changes_nothing_and_a_correction_is_what_mlflow_shows(watched: Watched):
    assert watched.loop.run("houses_seal", DAY).success
    told = watched.history("live.accuracy")

    words = said(watched, later=60)

    assert (len(told), len(watched.history("live.accuracy"))) == (1, 2)
    assert words.startswith(f"step {STEP} ")
    run = MlflowTracker(watched.settings.mlflow_uri).client.get_run(watched.run_id)
    assert run.data.metrics["live.accuracy"] == 0.1


def test_a_window_that_is_not_mature_is_not_written(watched: Watched):
    told = watched.history("live.accuracy")

    assert said(watched, rows=20) == "not written: 20 matured labels, needs 40"
    assert watched.history("live.accuracy") == told


@pytest.mark.parametrize("down", ["closed port", "no folder for the store", "deleted run"])
def test_an_mlflow_that_is_down_is_told_and_fails_nothing(watched: Watched, tmp_path: Path, down: str):
    (tmp_path / "file").write_text("")
    client = MlflowTracker(watched.settings.mlflow_uri).client
    if down == "deleted run":
        client.delete_run(watched.run_id)
    with socket.socket() as taken:  # bound and never listening: whoever connects is refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        uris = {"closed port": f"http://127.0.0.1:{port}", "no folder for the store": f"sqlite:///{tmp_path}/file/a.db"}

        words = said(watched, uri=uris.get(down, ""))

    if down == "deleted run":
        client.restore_run(watched.run_id)
    assert words.startswith(f"not written: {uris.get(down, watched.settings.mlflow_uri)}")


def test_a_store_that_hangs_is_not_waited_for(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracked, "DEADLINE_S", 0.2)
    lock = Path(watched.settings.mlflow_uri.removeprefix("sqlite:///")).with_suffix(".lock")

    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        words = said(watched)

    assert words == f"not written: {watched.settings.mlflow_uri} has not answered in 0 s"


def test_a_version_without_a_run_is_told(watched: Watched, tmp_path: Path):
    nobody = Archive(tmp_path).ledger

    words = track(MlflowTracker(watched.settings.mlflow_uri), nobody, HOUSES, watched.held, quality(right=60))

    assert words == "not written: the ledger knows no run of houses@1"


@pytest.mark.parametrize(
    ("every", "start", "key", "timezone", "number"),
    [
        ("hour", "2026-01-05", "2026-01-06-01:00", "UTC", 25),
        ("day", "2026-03-28", "2026-03-31", "Europe/Berlin", 3),  # with a day of 23 hours
        ("week", "2026-01-07", "2026-01-21", "UTC", 2),
        ("month", "2025-11-01", "2026-02-01", "UTC", 3),
    ],
)
def test_windows_are_numbered_from_the_first(every: Every, start: str, key: str, timezone: str, number: int):
    grid = Grid(every=every, start=datetime.fromisoformat(start), timezone=timezone)

    assert (window_number(grid, grid.key(grid.start)), window_number(grid, key)) == (0, number)
