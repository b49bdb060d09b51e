"""Tracking on real MLflow over SQLite: what is said twice is there once."""

from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from mlops_assets.training.tracking import MlflowTracker, Report, origin_tags

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def open_run(tracker: MlflowTracker, product: str) -> str:
    return tracker.client.create_run(tracker.experiment(product)).info.run_id


def make_store(uri: str) -> str:
    return MlflowTracker(uri).experiment("loans")


def test_two_processes_may_make_a_fresh_store_at_once(tmp_path: Path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(make_store, [uri, uri]))

    assert made[0] == made[1]


def test_a_run_shows_its_report_and_leads_back_to_dagster(tracker: MlflowTracker):
    run_id = open_run(tracker, "report")
    report = Report(
        name="report all|all",
        at=NOON,
        params={f"p{place}": place for place in range(150)},
        metrics={"auc": 0.75},
        history={"validation_loss": [1 / step for step in range(1, 1200)]},
        tags=origin_tags(record="r1", run_id="d1", asset="report/model", partition="all|all", ui_url="http://ui"),
        artifacts={"model/model.txt": b"tree"},
    )

    tracker.log(run_id, report)
    tracker.log(run_id, report)

    run = tracker.client.get_run(run_id)
    assert (run.info.run_name, run.data.metrics["auc"], len(run.data.params)) == ("report all|all", 0.75, 150)
    assert len(tracker.client.get_metric_history(run_id, "validation_loss")) == 1199
    assert run.data.tags["dagster/url"] == "http://ui/runs/d1"
    assert Path(tracker.client.download_artifacts(run_id, "model/model.txt")).read_bytes() == b"tree"


def test_artifacts_lie_beside_the_store(tracker: MlflowTracker):
    store = Path(tracker.uri.removeprefix("sqlite:///"))

    run_id = open_run(tracker, "beside")

    assert tracker.client.get_run(run_id).info.artifact_uri.startswith(
        (store.parent / "mlartifacts" / "beside").as_uri()
    )


def test_a_record_has_one_version_however_often_it_is_registered(tracker: MlflowTracker):
    run_id = open_run(tracker, "register")

    first = tracker.register("register", run_id, record="a", segment="north", window="2026-01-05")
    again = tracker.register("register", run_id, record="a", segment="north", window="2026-01-05")
    other = tracker.register("register", run_id, record="b", segment="north", window="2026-01-12")

    assert (first, again, other) == (1, 1, 2)


def test_the_champion_is_an_alias_per_segment(tracker: MlflowTracker):
    run_id = open_run(tracker, "alias")
    version = tracker.register("alias", run_id, record="a", segment="north.east", window="all")
    before = tracker.champion("alias", "north.east")

    tracker.set_champion("alias", "north.east", version)

    assert before is None
    assert tracker.champion("alias", "north.east") == version
    assert tracker.champion("alias", "south") is None
