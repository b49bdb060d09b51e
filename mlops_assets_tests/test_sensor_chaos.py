"""Sensors that are killed, run twice, or lose what they knew: no window and no retraining is lost, and none doubled.

The ticks are those of Dagster's own daemon, the traffic is a real endpoint's. CHAOS_PLACES says how many places of the
sensors' ticks are tried.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.asking import ASKED
from mlops_assets.evidence.archive import Archive
from mlops_assets.operations.traffic import Client
from mlops_assets.product import SEAL
from mlops_assets.retraining.stored import stored_decisions
from mlops_assets.settings import environment, load_settings
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets_tests.daemon import MOMENTS, prepare
from mlops_assets_tests.intact import assert_finished
from mlops_assets_tests.live import FIRST_DAY, connected, replay
from mlops_assets_tests.started import ran, started
from mlops_assets_tests.tiny import DAY, NAME, Tiny, declare, rows

PLACES = int(os.environ.get("CHAOS_PLACES", "3"))
WITHIN_S = 600
SERVE = ("serve", NAME, "--port", "0", "--clock", "replay")
SENSORS = ("tiny_seal", "tiny_data", "tiny_retrain")
KILLED_AT = [(sensor, moment) for sensor in SENSORS for moment in MOMENTS[: max(PLACES // len(SENSORS), 1)]]

pytestmark = pytest.mark.chaos


@dataclass(frozen=True, kw_only=True)
class World:
    """`tiny` with its history made, its endpoint, and who sends to it."""

    tiny: Tiny
    client: Client


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tiny = declare(load_settings(home=tmp_path / "home"), tmp_path)
    prepare(tiny.settings.dagster_home)
    ran(tiny.settings, "backfill", NAME)
    with started(tiny.settings, *SERVE), connected(tiny) as client:
        yield World(tiny=tiny, client=client)


def drifting(world: World) -> None:
    """Let a day of ordinary traffic pass, and one whose relation to the label has turned round."""
    for day in range(2):
        replay(world.client, day=day, turned=day == 1)


def daemon(tiny: Tiny, *killed_at: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore", "-m", "mlops_assets_tests.daemon", *killed_at]
    env = {**environment(tiny.settings), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(*processes: "subprocess.Popen[str]") -> list[int]:
    """Return the exit codes of daemons. A tick of one alone may not fail; one of two may lose a race for a run's id."""
    said: list[str] = []
    try:
        for process in processes:
            with process:
                said.append(process.communicate(timeout=WITHIN_S)[0])
    finally:
        for process in processes:
            process.kill()
    assert len(said) > 1 or "a tick failed" not in said[0], said[0]
    return [process.returncode for process in processes]


def acts(tiny: Tiny) -> list[tuple[str, int | None]]:
    found = Archive(tiny.settings.home).ledger.acts(NAME, "register", "promote", "refuse")
    return [(act.kind, act.version) for act in found]


def records(tiny: Tiny) -> Counter[str]:
    """How often each partition of a sealed stage was recorded."""
    links = Archive(tiny.settings.home).journal.links()
    return Counter(
        str(link.body["place"]) for link in links if any(f"/{stage}[" in str(link.body["place"]) for stage in SEAL)
    )


def assert_learned_once(tiny: Tiny, *, versions: int, windows: int = 2) -> None:
    """Every window is sealed, judged and asked for once, and every decision to retrain has made one version."""
    assert_finished(tiny.settings, tiny.product)
    every = range(1, versions + 1)
    assert acts(tiny) == [(kind, version) for version in every for kind in ("register", "promote")]
    decided = [each.id for each in stored_decisions(tiny.settings.home, NAME) if each.retrain]
    tracker = MlflowTracker(tiny.settings.mlflow_uri)
    runs = tracker.client.search_runs([tracker.experiment(NAME)])
    assert Counter(run.data.tags.get("mlops_assets/decision") for run in runs) == Counter([None, *decided])
    assert len(decided) == versions - 1
    days = [f"all|{FIRST_DAY + day * DAY:%Y-%m-%d}" for day in range(windows)]
    archive = Archive(tiny.settings.home)
    assert {stage: list(archive.heads(NAME, stage)) for stage in SEAL} == dict.fromkeys(SEAL, days)
    assert set(records(tiny).values()) == {1}


def assert_asked_once(tiny: Tiny) -> None:
    with dg.DagsterInstance.from_config(str(tiny.settings.dagster_home)) as instance:
        runs = instance.get_runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    asked = Counter(run.tags[ASKED] for run in runs if ASKED in run.tags)
    assert set(asked.values()) == {1}


def test_sensors_that_are_killed_between_reading_and_requesting_lose_nothing_and_double_nothing(world: World):
    drifting(world)

    codes = [ended(daemon(world.tiny, *place)) for place in KILLED_AT]
    last = ended(daemon(world.tiny))

    assert codes == [[-signal.SIGKILL]] * len(KILLED_AT)  # each came to its place: nobody had lost what was due there
    assert last == [0]
    assert_learned_once(world.tiny, versions=2)
    assert_asked_once(world.tiny)


def test_two_daemons_at_once_learn_no_more_than_one(world: World):
    drifting(world)

    codes = ended(daemon(world.tiny), daemon(world.tiny))

    assert codes == [0, 0]
    assert_learned_once(world.tiny, versions=2)


def test_what_dagster_and_the_sensors_have_forgotten_is_not_done_again(world: World):
    drifting(world)
    first = ended(daemon(world.tiny))
    before = acts(world.tiny)
    home = world.tiny.settings.home

    shutil.rmtree(home / "dagster" / "schedules")  # ticks and cursors: every event is new again
    shutil.rmtree(home / "sensors")
    without_ticks = ended(daemon(world.tiny))
    assert_asked_once(world.tiny)
    shutil.rmtree(home / "dagster" / "history")  # runs, with the keys that they were asked for under
    without_runs = ended(daemon(world.tiny))

    assert (first, without_ticks, without_runs) == ([0], [0], [0])
    assert acts(world.tiny) == before
    assert_learned_once(world.tiny, versions=2)


@pytest.mark.skipif(PLACES < 10, reason="two hundred runs take minutes: make chaos N=10")
def test_of_two_hundred_windows_that_close_at_once_none_is_lost_and_none_doubled(world: World):
    drifting(world)
    for day in range(2, 200):
        [row] = rows(FIRST_DAY + day * DAY, 1, seed=day).head(1).iter_rows(named=True)
        world.client.predict(row, at=row.pop("at"), segment="all", label=row.pop("good"))
    world.client.advance(FIRST_DAY + 200 * DAY)

    codes = ended(daemon(world.tiny), daemon(world.tiny))

    assert (world.client.failures, codes) == ([], [0, 0])
    assert_learned_once(world.tiny, versions=2, windows=200)
