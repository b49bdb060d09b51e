"""Materializing `endpoint` with real Dagster against real workers: it succeeds once all of them serve, or it fails."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import msgspec
import pytest

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Place, Recipe
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import DATA, Stage
from mlops_assets.serving import assets, workers
from mlops_assets.serving.routing.deploy import read_deployment, wait_until_served
from mlops_assets.serving.routing.rollout import rolled_out
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings, adopt
from mlops_assets.training.model import ModelSpec, decode_spec, encode_spec
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, WEEKS, champion, declare, deployment, make, sales
from mlops_assets_tests.serving.loans import Running
from mlops_assets_tests.started import started, until

LONG_S = 60
INFER = "/v2/models/houses/infer"
ROW = {"price": 20.0, "rooms": 3, "street": "mill", "town": "bath", "id": "b7"}


@dataclass(frozen=True, kw_only=True)
class World:
    """A deployment of houses; bath has champions, york has none."""

    settings: Settings

    @property
    def archive(self) -> Archive:
        return Archive(self.settings.home)

    @property
    def folder(self) -> Path:
        return self.settings.serving("houses")

    @property
    def step(self) -> EndpointStep:
        return EndpointStep(product=HOUSES, archive=self.archive, settings=self.settings)

    @property
    def wanted(self) -> str:
        found = read_deployment(self.folder)
        assert found is not None
        return found.id

    def acts(self, kind: str) -> list[Act]:
        return [act for act in self.archive.ledger.acts("houses") if act.kind == kind]

    def promote(self, **changes: object) -> Held:
        """Make a copy of the first model, with these changes of its spec, the next version and the champion."""
        version = len(self.acts("register")) + 1
        first = self.archive.head(Place(product="houses", stage="model", partition=f"bath|{WEEKS[0]}"))
        assert first is not None
        spec: ModelSpec = msgspec.structs.replace(decode_spec(self.archive.data(first, "spec")), **changes)
        model = self.archive.data(first, "model") + b"\n" * version  # bytes of its own, to be broken
        built = Built(outputs={"model": (model, "txt"), "spec": (encode_spec(spec), "json")})
        place = Place(product="houses", stage="model", partition=f"bath|copy-{version}")
        held = self.archive.make(Recipe(place=place, code=""), [], lambda: built)
        champion(self.settings, held, version)
        return held

    def roll_back(self) -> None:
        """Make the first version champion again."""
        ledger = self.archive.ledger
        current = ledger.champion("houses", "bath")
        assert current is not None
        back = msgspec.structs.replace(self.acts("promote")[0], kind="rollback", by="jo")
        ledger.move_champion(back, expected=current.version)

    def materialize(self) -> dg.ExecuteInProcessResult:
        """Run the asset."""
        adopt(self.settings)
        return dg.materialize(
            [assets.endpoint_asset(HOUSES)],
            resources={"platform": Platform()},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    @contextmanager
    def worker(self) -> Iterator[Running]:
        """A worker, once it answers; it is stopped at the end."""
        with started(self.settings, "serve", "houses", "--port", "0") as run:
            until(lambda: "serving at " in run.text, what="a worker", within_s=LONG_S)
            try:
                yield Running(process=run.process, url=run.text.split("serving at ")[1].split()[0])  # type: ignore[arg-type]
            finally:
                run.stop()


def world(folder: Path) -> World:
    """Bath has version 1 as its champion; nothing is deployed yet. MLflow's store, slow to make, is one for all."""
    mlflow = f"sqlite:///{folder.parent / 'mlflow.db'}"
    found = World(settings=replace(deployment(folder, sales(1)), mlflow_uri=mlflow))
    declare(found.settings, HOUSES)
    make(found.settings, HOUSES, f"bath|{WEEKS[0]}", *DATA, Stage.MODEL)
    found.promote()
    return found


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Running]]:
    """A world with one worker, for all tests that leave it as they found it."""
    found = world(tmp_path_factory.mktemp("busy"))
    with found.worker() as endpoint:
        yield found, endpoint


@pytest.fixture
def served(busy: tuple[World, Running]) -> tuple[World, Running, str]:
    """That world, its worker, and the deployment of version 1 that it serves."""
    found, endpoint = busy
    current = found.archive.ledger.champion("houses", "bath")
    if current is None or current.version != 1:
        found.roll_back()
    good = found.step.make("all").id
    assert wait_until_served(found.folder, good, LONG_S)
    return found, endpoint, good


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs wait for two seconds only."""
    monkeypatch.setattr(assets, "PATIENCE_S", 2.0)
    monkeypatch.setattr(assets, "BACK_S", 1.0)


def version(endpoint: Running) -> str:
    """Who answers."""
    return endpoint.post(INFER, ROW).headers["mlops-model-version"]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {each.check_name: (each.passed, each.severity.value) for each in result.get_asset_check_evaluations()}


def materialized(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [event.materialization for event in result.all_events if event.is_step_materialization]


def problem(result: dg.ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return error.message


def broken(held: Held, settings: Settings) -> Path:
    """The file of a model, one bit of which is turned."""
    path = settings.home / held.file("model").address
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    return path


def silent(deployment: str) -> Worker:
    """A worker that beats, and answers nobody."""
    now = datetime.now(UTC)
    return Worker(
        writer="w", pid=1, url="http://127.0.0.1:9", clock="server", started=now, since=now, deployment=deployment
    )


def test_it_succeeds_once_every_worker_answers_with_the_new_version(served: tuple[World, Running, str]):
    found, endpoint, good = served
    found.promote()

    result = found.materialize()

    assert (result.success, version(endpoint)) == (True, str(len(found.acts("register"))))
    assert checks(result) == {"answers_as_offline": (True, "ERROR"), "is_served": (True, "ERROR")}
    [made] = materialized(result)
    assert made.metadata["record"].value == found.wanted != good
    assert made.metadata["workers"].value == [endpoint.url]


def test_broken_bytes_fail_the_run_and_the_old_deployment_serves_on(served: tuple[World, Running, str]):
    found, endpoint, good = served
    path = broken(found.promote(), found.settings)

    result = found.materialize()

    with found.worker() as restarted:
        again = version(restarted)
    failed = found.acts("fail")[-1]
    assert (result.success, materialized(result)) == (False, [])
    assert checks(result) == {"answers_as_offline": (False, "ERROR")}
    assert f"{good[:12]}… is asked for again, and 1 of 1 workers serve it" in problem(result)
    assert (version(endpoint), again, found.wanted) == ("1", "1", good)
    assert failed.facts == {"put_back": good}
    assert str(path) in failed.reason


def test_a_worker_that_starts_with_a_broken_deployment_serves_what_was_served_last(served: tuple[World, Running, str]):
    found, endpoint, good = served
    path = broken(found.promote(), found.settings)
    bad = found.step.make("all").id  # by no run, so nobody puts the deployment before back
    until(
        lambda: any(each.refused == bad for each, _ in workers.workers(found.folder)), what="a refusal", within_s=LONG_S
    )

    with found.worker() as restarted:
        again = version(restarted)
        said = next(each for each, _ in workers.workers(found.folder) if each.url == restarted.url)

    assert (version(endpoint), again) == ("1", "1")
    assert (said.deployment, said.refused) == (good, bad)
    assert str(path) in (said.error or "")


def test_a_tick_leaves_a_failed_deployment_alone_and_a_run_tries_it_again(served: tuple[World, Running, str]):
    found, endpoint, good = served
    path = broken(found.promote(), found.settings)
    found.materialize()
    acts = found.archive.ledger.acts("houses")

    for _ in range(3):
        with pytest.raises(
            NotReady, match=r"the deployment [0-9a-f]{64} failed at .* refused it: .*; materialize houses"
        ):
            found.step.make("all")
    quiet = found.archive.ledger.acts("houses") == acts and found.wanted == good
    broken(found.archive.held(found.acts("register")[-1].record or ""), found.settings)  # turned back
    mended = found.materialize()

    assert path.exists()
    assert (quiet, mended.success, version(endpoint)) == (True, True, str(len(found.acts("register"))))
    assert found.step.make("all").id == found.wanted != good


def test_a_rollback_after_a_failure_goes_on_with_what_serves(served: tuple[World, Running, str]):
    found, endpoint, good = served
    broken(found.promote(), found.settings)
    found.materialize()
    found.roll_back()

    held = found.step.make("all")

    assert (held.id, found.wanted, version(endpoint)) == (good, good, "1")
    assert (found.acts("deploy")[-1].record, found.step.status("all")[0]) == (good, "done")


def test_a_model_that_answers_otherwise_than_offline_fails_the_run(served: tuple[World, Running, str]):
    found, endpoint, good = served
    found.promote(transform="mlops_assets_tests.serving.batchwise.less_mean")

    result = found.materialize()

    assert (result.success, version(endpoint), found.wanted) == (False, "1", good)
    assert "where the offline model says" in problem(result)


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_does_not_finish_loading_fails_the_run(served: tuple[World, Running, str]):
    found, endpoint, good = served
    path = found.settings.home / found.promote().file("model").address
    path.unlink()
    os.mkfifo(path)
    held_open = os.open(path, os.O_RDWR)  # whoever reads it waits for what is written

    result = found.materialize()
    during = version(endpoint)
    path.unlink()
    path.write_bytes(b"")
    os.close(held_open)

    assert (result.success, during, found.wanted) == (False, "1", good)
    assert f"{endpoint.url} serves {good[:12]}… after 2 s" in problem(result)
    assert checks(result) == {"is_served": (False, "ERROR")}


def test_a_worker_whose_store_hangs_ends_when_it_is_told_to(served: tuple[World, Running, str]):
    found, _, _ = served
    path = found.settings.home / found.promote().file("model").address
    data = path.read_bytes()
    with found.worker() as other:
        path.unlink()
        os.mkfifo(path)
        held_open = os.open(path, os.O_RDWR)
        found.step.make("all")
        other.process.terminate()

        code = other.process.wait(LONG_S)

    path.unlink()
    path.write_bytes(data)
    os.write(held_open, b"x")
    os.close(held_open)
    assert code == 0


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_hangs_fails_the_run_and_serves_the_old_version_when_it_wakes(
    served: tuple[World, Running, str],
):
    found, endpoint, good = served
    found.promote()
    os.killpg(endpoint.process.pid, signal.SIGSTOP)

    result = found.materialize()

    os.killpg(endpoint.process.pid, signal.SIGCONT)
    assert (result.success, version(endpoint), found.wanted) == (False, "1", good)
    assert f"{endpoint.url} serves nothing after 2 s" in problem(result)


@pytest.mark.usefixtures("impatient")
def test_one_worker_that_does_not_follow_takes_the_others_back(served: tuple[World, Running, str]):
    found, endpoint, good = served
    found.promote()
    other = Registration(found.folder, silent(good))
    other.beat(None)

    result = found.materialize()

    other.stop()
    assert "http://127.0.0.1:9 serves nothing after 2 s" in problem(result)
    assert f"{good[:12]}… is asked for again, and 1 of 2 workers serve it" in problem(result)
    assert (result.success, version(endpoint), found.wanted) == (False, "1", good)


def test_when_nothing_serves_the_deployment_is_recorded_and_a_check_warns(tmp_path: Path):
    found = world(tmp_path)

    result = found.materialize()

    assert (result.success, checks(result)["is_served"]) == (True, (False, "WARN"))
    assert (found.step.make("all").id, found.acts("fail")) == (found.wanted, [])


def test_a_first_deployment_that_fails_has_none_to_go_back_to(tmp_path: Path):
    found = world(tmp_path)
    Registration(found.folder, silent("none")).refuses(found.step.make("all").id, "no memory")

    result = found.materialize()

    assert "refused it: no memory; there is no deployment before it to go back to" in problem(result)
    assert (result.success, found.wanted) == (False, found.acts("fail")[0].record)


def test_a_worker_that_falls_silent_has_to_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = world(tmp_path)
    monkeypatch.setattr(workers, "SILENT_S", 0.5)
    one = Registration(found.folder, silent("none"))
    wanted = found.step.make("all").id
    one.beat(None)

    lost = rolled_out(found.folder, wanted, 1.0)
    one.beat(None)
    one.stop()
    ended = rolled_out(found.folder, wanted, 1.0)

    assert lost.problems == ["http://127.0.0.1:9 fell silent, and no other worker came"]
    assert ended.problems == []


def test_a_deployment_that_was_replaced_meanwhile_has_not_failed(tmp_path: Path):
    found = world(tmp_path)
    found.step.make("all")
    found.promote()
    Registration(found.folder, silent("none")).beat(None)

    def act() -> None:
        until(lambda: found.acts("deploy")[1:], what="the deployment")
        found.roll_back()
        with found.step.alone("all"):  # as whoever deploys by hand; a run that waits for workers does not hold it
            found.step.make("all")

    person = threading.Thread(target=act)
    person.start()
    result = found.materialize()
    person.join()

    assert (result.success, found.acts("fail")) == (True, [])
    newer = {each.check_name: each.metadata.get("newer") for each in result.get_asset_check_evaluations()}
    assert newer["is_served"] == dg.MetadataValue.text(found.wanted)
