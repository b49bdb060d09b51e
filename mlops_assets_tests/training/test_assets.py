"""The asset `model`: what a materialization shows; and killed anywhere, it leaves one run and one version."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import dagster as dg
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Ledger
from mlops_assets.evidence.records import Place as Partition
from mlops_assets.product import Stage
from mlops_assets.settings import Settings, exports
from mlops_assets.training import assets, resources
from mlops_assets.training.assets import model_asset
from mlops_assets.training.resources import MlflowRun, mlflow_resource
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, START, WEEKS, deployment, make, sales

FIRST = f"bath|{WEEKS[0]}"
WEEKS_FROM_THE_START = [f"{START + timedelta(days=7 * week):%Y-%m-%d}" for week in range(7)]


class Killed(BaseException):
    """The process ends here: nobody catches it, and nothing is tidied up."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A deployment whose data are made, and its Dagster instance."""

    settings: Settings
    instance: dg.DagsterInstance

    @property
    def tracker(self) -> MlflowTracker:
        return MlflowTracker(self.settings.mlflow_uri)

    def train(self, partition: str) -> dg.ExecuteInProcessResult:
        bound = {"platform": Platform(), "mlflow": mlflow_resource(self.settings)}
        model = model_asset(HOUSES, {})
        return dg.materialize(
            [model], resources=bound, partition_key=partition, instance=self.instance, raise_on_error=False
        )

    def runs(self) -> list[tuple[str, str]]:
        """Name and status of every MLflow run."""
        found = self.tracker.client.search_runs([self.tracker.experiment("houses")])
        return sorted((str(run.info.run_name), run.info.status) for run in found)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("assets")
    settings = deployment(folder, sales(7))
    for week in WEEKS_FROM_THE_START:
        for town in HOUSES.segments:
            make(settings, HOUSES, f"{town}|{week}")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        for name, value in exports(settings).items():
            patch.setenv(name, value)
        yield Place(settings=settings, instance=instance)


def shown(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    [made] = result.get_asset_materialization_events()
    return {name: each.value for name, each in made.materialization.metadata.items()}


def test_a_materialization_shows_numbers_pictures_and_its_mlflow_run(place: Place):
    result = place.train(FIRST)

    found = shown(result)
    assert result.success
    assert float(str(found["auc low"])) < float(str(found["auc"])) < float(str(found["auc high"]))
    pictures = {name: str(each) for name, each in found.items() if name.startswith("plot: ")}
    assert set(pictures) == {f"plot: {name}" for name in ("roc", "calibration", "confusion", "importance", "by window")}
    for markdown in pictures.values():
        assert b64decode(markdown.partition("base64,")[2].rstrip(")")).startswith(b"<svg ")
    assert sum(map(len, pictures.values())) < 25_000
    assert found["mlflow"] == f"mlflow ui --backend-store-uri {place.settings.mlflow_uri}"
    run = place.tracker.client.get_run(str(found["mlflow_run_id"]))
    assert run.data.tags["dagster/asset_url"].endswith(
        "/assets/houses/model?view=partitions&partition=bath%7C2026-01-05"
    )


def test_a_skipped_training_shows_the_same_and_opens_no_run(place: Place):
    first = shown(place.train(FIRST))
    runs = place.runs()

    again = shown(place.train(FIRST))

    assert again["skipped"] is True
    assert {name: each for name, each in first.items() if name.startswith("plot")} == {
        name: each for name, each in again.items() if name.startswith("plot")
    }
    assert place.runs() == runs


def dies(*_: object, **__: object) -> None:
    raise Killed


def after(function: Callable[..., object]) -> Callable[..., object]:
    def done(*args: object, **named: object) -> None:
        function(*args, **named)
        raise Killed

    return done


KILLS = {
    "before the run is told": (MlflowTracker, "log", dies),
    "between its figures and its files": (MlflowTracker, "_store", dies),
    "after its files": (MlflowTracker, "log", after(MlflowTracker.log)),
    "after its version": (MlflowTracker, "register", after(MlflowTracker.register)),
    "before the ledger": (Ledger, "register", dies),
    "after the ledger": (assets, "windows_plot", dies),
}


def as_if_killed(patch: pytest.MonkeyPatch, tracker: MlflowTracker) -> None:
    """Let nothing tidy up: what was shown as running is left so."""
    close = MlflowRun.close

    def leave(run: MlflowRun, _: str) -> None:
        if run.opened:
            close(run, tracker.client.get_run(run.start()).info.status)

    patch.setattr(MlflowRun, "close", leave)
    patch.setattr(resources, "_dagster_mlflow_hook", lambda: SimpleNamespace(hook_fn=lambda *_: None))


@pytest.mark.parametrize("kill", KILLS)
def test_a_training_killed_at_any_place_and_started_again_has_one_run_and_one_version(place: Place, kill: str):
    partition = f"york|{WEEKS_FROM_THE_START[list(KILLS).index(kill)]}"
    with pytest.MonkeyPatch.context() as patch:
        as_if_killed(patch, place.tracker)
        patch.setattr(*KILLS[kill])
        killed = place.train(partition)

    again = place.train(partition)

    assert (killed.success, again.success) == (False, True)
    archive, client = Archive(place.settings.home), place.tracker.client
    held = archive.head(Partition(product="houses", stage=Stage.MODEL, partition=partition))
    assert held is not None
    [act] = [act for act in archive.ledger.acts("houses", "register") if act.record == held.id]
    [version] = client.search_model_versions(f"name='houses' and tags.record='{held.id}'")
    assert (int(version.version), version.run_id) == (act.version, act.facts["mlflow_run_id"])
    told = client.search_runs([place.tracker.experiment("houses")], f"tags.record = '{held.id}'")
    assert [(run.info.run_id, run.info.status) for run in told] == [(version.run_id, "FINISHED")]
    assert {"model/MLmodel", "model/model.txt"} <= {e.path for e in client.list_artifacts(version.run_id, "model")}


def test_what_was_killed_before_it_was_told_of_a_record_is_failed_and_nothing_runs(place: Place):
    place.train(f"bath|{WEEKS_FROM_THE_START[-1]}")  # opens a run, and looks after the lost ones

    statuses = [status for _, status in place.runs()]
    assert statuses.count("FAILED") == 1
    assert "RUNNING" not in statuses
