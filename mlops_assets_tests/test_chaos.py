"""Killed anywhere and started again, a backfill, `up` and the demo continue, and nothing is ever half there.

The places are where files appear: after an object and before its record, between MLflow and the ledger, and so on. How
many more have to appear is drawn with a seed. CHAOS_PLACES says how many places are tried.
"""

import os
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from mlops_assets.operations.traffic import Client
from mlops_assets.settings import Settings, load_settings
from mlops_assets_tests.intact import assert_finished, assert_intact, outcome
from mlops_assets_tests.live import UP, answer_of, connected, replay
from mlops_assets_tests.started import Started, asked, endpoint, kill_all, processes, ran, started, until
from mlops_assets_tests.tiny import NAME, Tiny, declare

PLACES = int(os.environ.get("CHAOS_PLACES", "3"))
UPS = PLACES // 3
DEMOS = PLACES // 10
BACKFILLS = PLACES - UPS - DEMOS
WITHIN_S = 180.0
OFTEN_S = 0.002
UNDER_WAY = "{runsOrError(filter: {statuses: [QUEUED, STARTING, STARTED]}) {... on Runs {results {jobName}}}}"
NOTHING = {"runsOrError": {"results": []}}


# Files below the home; a place is when there is one more of them, or when such a file has one more line.
IN_BACKFILL = (
    "objects/*/*.parquet",
    "mlartifacts/**/spec.json",  # MLflow has the run's files, the ledger does not know the version
    "journal.jsonl",  # before the recipe's pointer and the head
    "ledger.jsonl",  # registered or promoted, before the record says so
    "envelopes/*/[!.]*",  # before the record
    "heads/*/*/[!.]*",
    "mlflow.db",
    "heads/*/champion/[!.]*",  # promoted, not yet deployed
    "recipes/*/[!.]*",
)
IN_UP = (
    "mlartifacts/**/spec.json",
    "heads/*/predictions/[!.]*",  # sealed, not yet profiled; its log may be deleted or not
    "ledger.jsonl",
    "heads/*/annotations/[!.]*",
    "decisions/*.jsonl",
    "serving/*/sealed/*/*.json",
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """`tiny` with its history made, and what it had come to when nobody had touched it."""

    tiny: Tiny
    outcome: Mapping[str, str]
    counts: Mapping[str, int]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    tiny = fresh(tmp_path_factory.mktemp("undisturbed"))
    ran(tiny.settings, "backfill", NAME)
    counts = {files: there(tiny, files) for files in IN_BACKFILL}
    return Made(tiny=tiny, outcome=outcome(tiny.settings, tiny.product), counts=counts)


@pytest.mark.chaos
def test_a_backfill_that_is_killed_anywhere_and_started_again_comes_to_the_same_end(tmp_path: Path, undisturbed: Made):
    seeded, homes = random.Random(BACKFILLS), count()
    tiny = fresh(tmp_path / str(next(homes)))

    for files in islice(cycle(IN_BACKFILL), BACKFILLS):
        if there(tiny, files) == undisturbed.counts[files]:  # it is past that place: on to its end, and from nothing
            ran(tiny.settings, "backfill", NAME)
            assert_done(tiny, undisturbed.outcome)
            tiny = fresh(tmp_path / str(next(homes)))
        with started(tiny.settings, "backfill", NAME) as run:
            kill_at(seeded.randint(there(tiny, files) + 1, undisturbed.counts[files]), tiny, files, run)
        assert_intact(tiny.settings, tiny.product)

    ran(tiny.settings, "backfill", NAME)
    assert_done(tiny, undisturbed.outcome)


@pytest.mark.chaos
def test_up_that_is_killed_anywhere_and_started_again_closes_the_loop(undisturbed: Made):
    tiny = undisturbed.tiny

    for day, files in enumerate(islice(cycle(IN_UP), UPS)):
        with started(tiny.settings, *UP) as up, connected(tiny) as client:
            replay(client, day=day, turned=day % 2 == 0)
            kill_at(there(tiny, files) + 1, tiny, files, up)
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


def fresh(folder: Path) -> Tiny:
    return declare(load_settings(home=folder / "home"), folder)


def there(tiny: Tiny, files: str) -> int:
    """Return how many files there are, or lines in them."""
    found = list(tiny.settings.home.glob(files))
    return sum(path.read_bytes().count(b"\n") for path in found) if files.endswith(".jsonl") else len(found)


def kill_at(number: int, tiny: Tiny, files: str, run: Started) -> None:
    """Kill all of a command's processes as soon as so many files are there; it has to come so far."""
    deadline = time.monotonic() + WITHIN_S
    while there(tiny, files) < number:
        assert run.process.poll() is None, run.text
        assert time.monotonic() < deadline, f"waited in vain for {number} of {files}"
        time.sleep(OFTEN_S)
    kill_all(tiny.settings.home)
    run.process.wait()


def assert_done(tiny: Tiny, expected: Mapping[str, str]) -> None:
    assert ran(tiny.settings, "backfill", NAME) == f"{NAME}: everything is up to date (3 partitions)\n"
    assert_finished(tiny.settings, tiny.product)
    assert outcome(tiny.settings, tiny.product) == expected
