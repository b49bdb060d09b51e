"""Killed anywhere and started again, a backfill, `up` and the demo continue, and nothing is ever half there.

The places are where something appears: after an object and before its record, between MLflow and the ledger, and so on.
How many more have to appear is drawn with a seed. CHAOS_PLACES says how many places are tried.
"""

import os
import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from mlops_assets.operations.traffic import Client
from mlops_assets.settings import Settings, load_settings
from mlops_assets_tests.intact import assert_finished, assert_intact, outcome
from mlops_assets_tests.live import UP, answer_of, connected, replay
from mlops_assets_tests.started import Started, asked, endpoint, kill_all, processes, ran, started, until
from mlops_assets_tests.tiny import NAME, TRAINER, Tiny, declare

PLACES = int(os.environ.get("CHAOS_PLACES", "3"))
UPS = PLACES // 3
DEMOS = PLACES // 10
BACKFILLS = PLACES - UPS - DEMOS
WITHIN_S = 180.0
OFTEN_S = 0.002
UNDER_WAY = "{runsOrError(filter: {statuses: [QUEUED, STARTING, STARTED]}) {... on Runs {results {jobName}}}}"
NOTHING = {"runsOrError": {"results": []}}
NETWORK = (
    "{kind: torch, params: {epochs: 400, patience: 400, batch: 8}}"  # it trains for longer than a checkpoint takes
)
MODELS = "heads/*/model/[!.]*"
There = Callable[[Path], int]


@dataclass(frozen=True, kw_only=True)
class Made:
    """`tiny` with its history made, and what it had come to when nobody had touched it."""

    tiny: Tiny
    outcome: Mapping[str, str]


def files(pattern: str, home: Path) -> int:
    return sum(1 for _ in home.glob(pattern))


def lines(pattern: str, saying: bytes, home: Path) -> int:
    return sum(path.read_bytes().count(saying) for path in home.glob(pattern))


def rows(table: str, home: Path) -> int:
    """Return how many rows MLflow's store has in a table; none before there is one."""
    store = home / "mlflow.db"
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection, suppress(sqlite3.OperationalError):
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
    return 0


# What there is below the home, counted; a place is when there is more of it.
TRAINING: dict[str, There] = {"checkpoint": partial(files, "checkpoints/*/*"), "run": partial(rows, "runs")}
LOGGING: dict[str, There] = {"metric": partial(rows, "metrics"), "artifact": partial(files, "mlartifacts/**/spec.json")}
REGISTERING: dict[str, There] = {
    "version": partial(rows, "model_versions"),  # MLflow has it, the ledger does not know it
    "registration": partial(lines, "ledger.jsonl", b'"kind":"register"'),  # its MLflow run is not ended
}
PROMOTING: dict[str, There] = {
    "promotion": partial(lines, "ledger.jsonl", b'"kind":"promote"'),  # before the record says so
    "decision": partial(files, "heads/*/champion/[!.]*"),  # promoted, not yet deployed
}
STORING: dict[str, There] = {
    "object": partial(files, "objects/*/*.parquet"),
    "journal": partial(lines, "journal.jsonl", b"\n"),  # before the recipe's pointer and the head
    "envelope": partial(files, "envelopes/*/[!.]*"),  # before the record
    "head": partial(files, "heads/*/*/[!.]*"),
    "recipe": partial(files, "recipes/*/[!.]*"),
}
EVERYWHERE = {**TRAINING, **LOGGING, **REGISTERING, **PROMOTING, **STORING}
IN_NETWORK = ("checkpoint", "version", "promotion", "artifact", "registration", "decision", "metric", "run")
IN_TREES = (
    "artifact",
    "object",
    "run",
    "journal",
    "registration",
    "envelope",
    "version",
    "head",
    "promotion",
    "recipe",
)
IN_UP: tuple[There, ...] = (
    LOGGING["artifact"],
    partial(files, "heads/*/predictions/[!.]*"),  # sealed, not yet profiled; its log may be deleted or not
    partial(lines, "ledger.jsonl", b"\n"),
    partial(files, "heads/*/annotations/[!.]*"),
    partial(lines, "decisions/*.jsonl", b"\n"),
    partial(files, "serving/*/sealed/*/*.json"),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(fresh(tmp_path_factory.mktemp("undisturbed")))


@pytest.mark.chaos
def test_a_backfill_that_is_killed_anywhere_and_started_again_comes_to_the_same_end(tmp_path: Path, undisturbed: Made):
    names = tuple(islice(cycle(IN_TREES), BACKFILLS // 2))

    killed_and_started_again(tmp_path, undisturbed, names, TRAINER)


@pytest.mark.chaos
def test_a_network_that_is_killed_in_training_logging_registering_or_promoting_has_the_same_bytes_in_the_end(
    tmp_path: Path,
):
    names = tuple(islice(cycle(IN_NETWORK), max(3, BACKFILLS - BACKFILLS // 2)))

    killed_and_started_again(tmp_path, made(fresh(tmp_path / "undisturbed", NETWORK)), names, NETWORK)


def killed_and_started_again(folder: Path, undisturbed: Made, names: tuple[str, ...], trainer: str) -> None:
    """Kill a backfill at each of the places called `names` in turn, in as few homes as have them still to come."""
    seeded, homes = random.Random(len(names)), count()
    tiny = fresh(folder / str(next(homes)), trainer)
    for name in names:
        there, most = EVERYWHERE[name], max(EVERYWHERE[name](undisturbed.tiny.settings.home), 1)
        if there(tiny.settings.home) >= most or (name == "checkpoint" and files(MODELS, tiny.settings.home)):
            ran(tiny.settings, "backfill", NAME)  # it is past that place: on to its end, and from nothing
            assert_done(tiny, undisturbed.outcome)
            tiny = fresh(folder / str(next(homes)), trainer)
        with started(tiny.settings, "backfill", NAME) as run:
            kill_at(seeded.randint(there(tiny.settings.home) + 1, most), tiny, there, run)
        assert_intact(tiny.settings, tiny.product)

    ran(tiny.settings, "backfill", NAME)
    assert_done(tiny, undisturbed.outcome)


@pytest.mark.chaos
def test_up_that_is_killed_anywhere_and_started_again_closes_the_loop(undisturbed: Made):
    tiny = undisturbed.tiny

    for day, there in enumerate(islice(cycle(IN_UP), UPS)):
        with started(tiny.settings, *UP) as up, connected(tiny) as client:
            replay(client, day=day, turned=day % 2 == 0)
            kill_at(there(tiny.settings.home) + 1, tiny, there, up)
        assert_intact(tiny.settings, tiny.product)
        with started(tiny.settings, *UP) as up, connected(tiny) as client:
            closes_the_loop(up, client, day)
        assert_finished(tiny.settings, tiny.product)


@pytest.mark.chaos
def test_a_killed_demo_takes_its_endpoint_along_and_the_next_one_starts_clean(home: Path, settings: Settings):
    with started(settings, "--home", str(home), "demo") as demo:
        first = until(lambda: endpoint(settings, "loans"), what="the first endpoint")
        demo.kill()
    until(lambda: not processes(home), what="the end of the first endpoint")
    (home / "objects").mkdir(exist_ok=True)

    with started(settings, "--home", str(home), "demo"):
        second = until(lambda: endpoint(settings, "loans"), what="the second endpoint")
        left = (home / "objects").exists()

    assert first != second
    assert not left


@pytest.mark.chaos
@pytest.mark.skipif(not DEMOS, reason="one place in ten is in the demo, which takes minutes: make chaos N=10")
@pytest.mark.parametrize("number", range(DEMOS or 1))
def test_a_demo_that_is_killed_anywhere_and_started_again_reaches_its_end(home: Path, settings: Settings, number: int):
    with started(settings, "--home", str(home), "demo") as demo:
        with suppress(TimeoutExpired):
            demo.process.wait(random.Random(number).uniform(5, 60))
        demo.kill()

    assert "the loop closed by itself" in ran(settings, "--home", str(home), "demo", within_s=600)


def closes_the_loop(up: Started, client: Client, day: int) -> None:
    """The relation that turned on `day` is learned: a version that nobody asked for answers on the next."""
    until(lambda: answer_of(client, day + 2, day=day + 1), within_s=WITHIN_S, what=f"version {day + 2}")
    until(lambda: asked(up.ui, UNDER_WAY) == NOTHING, within_s=WITHIN_S, what="the end of all runs")


def fresh(folder: Path, trainer: str = TRAINER) -> Tiny:
    return declare(load_settings(home=folder / "home"), folder, trainer=trainer)


def made(tiny: Tiny) -> Made:
    ran(tiny.settings, "backfill", NAME)
    assert not list(tiny.settings.home.glob("checkpoints/*"))
    return Made(tiny=tiny, outcome=outcome(tiny.settings, tiny.product))


def kill_at(number: int, tiny: Tiny, there: There, run: Started) -> None:
    """Kill all of a command's processes as soon as there are so many; it has to come so far."""
    deadline = time.monotonic() + WITHIN_S
    while there(tiny.settings.home) < number:
        assert run.process.poll() is None, run.text
        assert time.monotonic() < deadline, f"waited in vain for {number} of {there}"
        time.sleep(OFTEN_S)
    kill_all(tiny.settings.home)
    run.process.wait()


def assert_done(tiny: Tiny, expected: Mapping[str, str]) -> None:
    assert ran(tiny.settings, "backfill", NAME) == f"{NAME}: everything is up to date (3 partitions)\n"
    assert_finished(tiny.settings, tiny.product)
    assert outcome(tiny.settings, tiny.product) == expected
