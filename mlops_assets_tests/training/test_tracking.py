"""Tracking on real MLflow over SQLite: what is said twice is there once."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from mlops_assets.training.report import origin_tags
from mlops_assets.training.tracking import MlflowTracker, Report

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
    assert run.data.tags["dagster/asset_url"] == "http://ui/assets/report/model?view=partitions&partition=all%7Call"
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


def a_search(*losses: float) -> list[Report]:
    """The trials of a search, each with a metric, a history and the Dagster run that it was in."""
    return [
        Report(
            name=f"trial {number}: lightgbm",
            at=NOON,
            params={"num_leaves": number},
            metrics={"validation loss": loss},
            history={"loss": [1.0, loss]},
            tags={"record": "s1", "trial": str(number), "dagster/run_id": "d1"},
        )
        for number, loss in enumerate(losses, start=1)
    ]


def below(tracker: MlflowTracker, product: str, run_id: str) -> list[tuple[str, str, float]]:
    found = tracker.client.search_runs([tracker.experiment(product)], f"tags.mlflow.parentRunId = '{run_id}'")
    told = [(str(run.info.run_name), run.info.status, run.data.metrics["validation loss"]) for run in found]
    return sorted(told)


def test_the_trials_of_a_search_are_runs_below_the_winners_once_each(tracker: MlflowTracker):
    run_id = open_run(tracker, "search")
    whole = Report(name="search all|all", at=NOON, tags={"record": "s1"}, nested=a_search(0.3, 0.2, 0.4))

    tracker.log(run_id, replace(whole, nested=whole.nested[:2]))  # killed before the third
    tracker.log(run_id, whole)

    assert below(tracker, "search", run_id) == [
        ("trial 1: lightgbm", "FINISHED", 0.3),
        ("trial 2: lightgbm", "FINISHED", 0.2),
        ("trial 3: lightgbm", "FINISHED", 0.4),
    ]
    assert tracker.run_of("search", "s1") == run_id
    assert tracker.run_of("search", "unknown") is None


def test_a_trial_whose_process_was_killed_is_closed_with_its_dagster_run(tracker: MlflowTracker):
    parent = open_run(tracker, "trial")
    tags = {"mlflow.parentRunId": parent, "trial": "1", "dagster/run_id": "over"}
    lost = tracker.client.create_run(tracker.experiment("trial"), tags=tags).info.run_id

    closed = tracker.close_lost("trial", lambda run_id: run_id == "over")

    assert closed == [lost]
    assert tracker.client.get_run(lost).info.status == "FAILED"
    assert tracker.client.get_run(parent).info.status == "RUNNING"


def test_a_run_has_a_link_where_a_server_shows_it(tracker: MlflowTracker):
    run_id = open_run(tracker, "link")
    served = MlflowTracker("http://mlflow:5000/")
    served.__dict__["client"] = tracker.client  # the same store, as a server would give it

    experiment = tracker.experiment("link")
    assert served.link(run_id) == f"http://mlflow:5000/#/experiments/{experiment}/runs/{run_id}"
    assert tracker.link(run_id) is None
