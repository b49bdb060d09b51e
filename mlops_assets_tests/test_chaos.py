"""Killed anywhere and started again, a backfill, `up` and the demo continue, and nothing is ever half there.

The places are where files appear: after an object and before its record, between MLflow and the ledger, and so on. How
many more have to appear is drawn with a seed. CHAOS_PLACES says how many places are tried.
"""

import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from mlops_assets.settings import Settings, load_settings
from mlops_assets_tests.intact import assert_finished, assert_intact, outcome
from mlops_assets_tests.live import UP, answer_of, connected, replay
from mlops_assets_tests.started import asked, kill_all, ran, started, until
from mlops_assets_tests.tiny import NAME, Tiny, declare

PLACES = int(os.environ.get("CHAOS_PLACES", "3"))
UPS = PLACES // 3
DEMOS = PLACES // 10
BACKFILLS = PLACES - UPS - DEMOS
WITHIN_S = 180.0
UNDER_WAY = "{runsOrError(filter: {statuses: [QUEUED, STARTING, STARTED]}) {... on Runs {results {jobName}}}}"
NOTHING = {"runsOrError": {"results": []}}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where to kill: when up to `most` more files match `files`, or a file of lines has that many more lines."""

    files: str
    most: int

    def count(self, home: Path) -> int:
        found = list(home.glob(self.files))
        if self.files.endswith(".jsonl"):
            return sum(path.read_bytes().count(b"\n") for path in found)
        return len(found)


IN_BACKFILL = (
    Place(files="objects/*/*.parquet", most=30),
    Place(files="mlartifacts/**/spec.json", most=1),  # MLflow has the run's files, the ledger does not know the version
    Place(files="journal.jsonl", most=12),  # before the recipe's pointer and the head
    Place(files="ledger.jsonl", most=1),  # registered or promoted, before the record says so
    Place(files="envelopes/*/[!.]*", most=12),  # before the record
    Place(files="heads/*/*/[!.]*", most=12),
    Place(files="mlflow.db", most=1),
    Place(files="heads/*/champion/[!.]*", most=1),  # promoted, not yet deployed
    Place(files="recipes/*/[!.]*", most=12),
)
IN_UP = (
    Place(files="mlartifacts/**/spec.json", most=1),
    Place(files="heads/*/predictions/[!.]*", most=1),  # sealed, not yet profiled; its log may be deleted or not
    Place(files="ledger.jsonl", most=3),
    Place(files="heads/*/annotations/[!.]*", most=1),
    Place(files="decisions/*.jsonl", most=2),
    Place(files="serving/*/sealed/*/*.json", most=1),
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """`tiny` with its history made, and what it had come to when nobody had touched it."""

    tiny: Tiny
    outcome: Mapping[str, str]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    tiny = fresh(tmp_path_factory.mktemp("undisturbed"))
    ran(tiny.settings, "backfill", NAME)
    return Made(tiny=tiny, outcome=outcome(tiny.settings, tiny.product))


@pytest.mark.chaos
def test_a_backfill_that_is_killed_anywhere_and_started_again_comes_to_the_same_end(tmp_path: Path, undisturbed: Made):
    seeded, homes = random.Random(BACKFILLS), count()
    tiny = fresh(tmp_path / str(next(homes)))

    for place in islice(cycle(IN_BACKFILL), BACKFILLS):
        while not killed_at(place, tiny.settings, seeded, "backfill", NAME):
            assert_done(tiny, undisturbed.outcome)  # it was past that place before: once more from nothing
            tiny = fresh(tmp_path / str(next(homes)))
        assert_intact(tiny.settings, tiny.product)

    ran(tiny.settings, "backfill", NAME)
    assert_done(tiny, undisturbed.outcome)


@pytest.mark.chaos
def test_up_that_is_killed_anywhere_and_started_again_closes_the_loop(undisturbed: Made):
    tiny, seeded = undisturbed.tiny, random.Random(UPS)

    for day, place in enumerate(islice(cycle(IN_UP), UPS)):
        with started(tiny.settings, *UP) as up, connected(tiny) as client:
            limit = place.count(tiny.settings.home) + seeded.randint(1, place.most)
            replay(client, day=day, turned=day % 2 == 0)
            until(lambda: place.count(tiny.settings.home) >= limit, within_s=WITHIN_S, what=str(place))  # noqa: B023
            kill_all(tiny.settings.home)
            up.process.wait()
        assert_intact(tiny.settings, tiny.product)
        with started(tiny.settings, *UP) as up, connected(tiny) as client:
            until(lambda: answer_of(client, day + 2, day=day + 1), within_s=WITHIN_S, what="a new version")  # noqa: B023
            until(lambda: asked(up.ui, UNDER_WAY) == NOTHING, within_s=WITHIN_S, what="the end of all runs")  # noqa: B023
        assert_finished(tiny.settings, tiny.product)


@pytest.mark.chaos
@pytest.mark.parametrize("number", range(DEMOS))
def test_a_demo_that_is_killed_anywhere_and_started_again_reaches_its_end(home: Path, settings: Settings, number: int):
    with started(settings, "--home", str(home), "demo") as demo:
        with suppress(TimeoutExpired):
            demo.process.wait(random.Random(number).uniform(5, 60))
        demo.kill()

    assert "every step happened" in ran(settings, "--home", str(home), "demo", within_s=600)


def fresh(folder: Path) -> Tiny:
    return declare(load_settings(home=folder / "home"), folder)


def killed_at(place: Place, settings: Settings, seeded: random.Random, *command: str) -> bool:
    """Run `command`, kill it at `place`, and return True; or False if it ended before it came there."""
    limit = place.count(settings.home) + seeded.randint(1, place.most)
    with started(settings, *command) as run:
        while run.process.poll() is None:
            if place.count(settings.home) >= limit:
                run.kill()
                return True
    assert run.process.returncode == 0, run.text
    return False


def assert_done(tiny: Tiny, expected: Mapping[str, str]) -> None:
    assert ran(tiny.settings, "backfill", NAME) == f"{NAME}: everything is up to date (3 partitions)\n"
    assert_finished(tiny.settings, tiny.product)
    assert outcome(tiny.settings, tiny.product) == expected
