"""A training past its minutes: it is interrupted where it is, says so, and what it left to go on from stays."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.graph import build_definitions
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Trainer
from mlops_assets.settings import Settings, exports
from mlops_assets.training.deadline import Overdue, ended_after
from mlops_assets.training.networks.checkpoints import Checkpoints, State
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, deployment, looped, make, partitions, sales

SHORT = 0.002  # minutes
PATIENCE_S = 60  # after which a loop that nobody ends has failed its test


def endless() -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        pass


def stubborn() -> None:
    """A trainer that goes on whatever its library raises."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            time.sleep(PATIENCE_S)
        except Exception:
            continue


@pytest.mark.parametrize("training", [endless, stubborn])
def test_a_training_past_its_minutes_is_interrupted(training):
    began = time.monotonic()

    with pytest.raises(Overdue, match=r"has used up the 0.002 minutes of `compute: minutes`"), ended_after(SHORT):
        training()

    assert time.monotonic() - began < PATIENCE_S / 2


class Slow:
    """Something that takes a while to go, as a library's handle does; Python drops what is raised meanwhile."""

    def __del__(self) -> None:
        time.sleep(0.3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_that_python_has_dropped_is_made_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mlops_assets.training.deadline.AGAIN_S", 0.5)

    def clumsy() -> None:
        slow = Slow()
        del slow
        endless()

    with pytest.raises(Overdue), ended_after(SHORT):
        clumsy()


def test_nothing_is_left_of_the_limit_after_a_training_in_time():
    before = signal.getsignal(signal.SIGALRM)

    with ended_after(60):
        pass

    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_in_a_thread_beside_the_main_one_there_is_no_limit():
    ended = threading.Event()

    def training() -> str:
        with ended_after(1e-6):
            ended.wait(0.1)
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(training).result() == "done"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two weeks of houses, their data made."""
    found = deployment(tmp_path, sales(2))
    for partition in partitions():
        make(found, HOUSES, partition)
    for name, value in exports(found).items():
        monkeypatch.setenv(name, value)
    return found


def hasty(trainer: Trainer, minutes: float) -> ModelProduct:
    """Houses whose training would take much longer than it may."""
    compute = HOUSES.compute.model_copy(update={"minutes": minutes})
    return HOUSES.model_copy(update={"trainer": trainer, "compute": compute})


FOREST = Trainer(params={"num_iterations": 1_000_000, "early_stopping_round": 1_000_000, "min_data_in_leaf": 5})
NETWORK = Trainer(kind="torch", params={"epochs": 100_000, "patience": 100_000})


def left(settings: Settings, product: ModelProduct) -> list[str]:
    """What the training of Bath says when it is ended by itself, in a run in the foreground."""
    bound = dg.Definitions(
        resources={"platform": Platform(), "mlflow": mlflow_resource(settings)}, executor=dg.in_process_executor
    )
    with looped(settings, dg.Definitions.merge(build_definitions(product, settings), bound)) as loop:
        ran = loop.run("houses_retrain", "bath|2026-01-12")
    assert not ran.success
    return [each for each in ran.problems if each.startswith("model: ")]


def test_a_run_in_the_foreground_ends_by_itself_and_says_why(settings: Settings):
    [problem] = left(settings, hasty(FOREST, 0.02))

    assert "the training has used up the 0.02 minutes of `compute: minutes`" in problem
    tracker = MlflowTracker(settings.mlflow_uri)
    [run] = tracker.client.search_runs([tracker.experiment("houses")])
    assert run.info.status == "FAILED"


def test_a_network_that_was_ended_leaves_its_checkpoint(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    keep = Checkpoints.keep

    def and_then_time_is_up(checkpoints: Checkpoints, state: Callable[[], State]) -> None:
        keep(checkpoints, state)
        signal.setitimer(signal.ITIMER_REAL, 0.01)

    monkeypatch.setattr(Checkpoints, "keep", and_then_time_is_up)
    for name in ("SOONEST_S", "SPARING"):
        monkeypatch.setattr(f"mlops_assets.training.networks.checkpoints.{name}", 0)

    [problem] = left(settings, hasty(NETWORK, 60))

    assert "A network goes on from its last checkpoint" in problem
    assert [path for path in (settings.home / "checkpoints").rglob("*") if path.is_file()]
