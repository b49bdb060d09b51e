"""From a sealed window of drifting traffic to the first answer of the retrained version, under `up`, hands off.

The product and its traffic are those of the test of `up`: 200 rows a day, whose relation to the label turns round.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import python, said
from benchmarks.results import Result, result
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.operations.foreground import foreground
from mlops_assets.operations.traffic import Client
from mlops_assets.product import Stage
from mlops_assets.retraining.stored import stored_decisions
from mlops_assets.settings import load_settings
from mlops_assets_tests.live import FIRST_DAY, UP, answer_of, connected, replay
from mlops_assets_tests.started import started, until
from mlops_assets_tests.tiny import DAY, NAME, Tiny, declare

AIM = 60
ROUNDS = 2
WITHIN_S = 300.0
SERVE = ("serve", NAME, "--port", "0", "--clock", "replay")
DRIFTED = f"all|{FIRST_DAY + DAY:%Y-%m-%d}"
PARTS = ("judged", "followed", "decided", "trained", "promoted", "answered")


def measure() -> list[Result]:
    """Return the seconds from the record of the sealed window to the answer, and those of each part."""
    under_up, in_front = (_soonest(react) for react in (_under_up, _in_front))
    beside = "the same sensors and runs in one process, without waiting for ticks"
    rows = [("reaction_s", "answered", "sealed", AIM)]
    steps = ("sealed", *PARTS)
    rows += [(f"reaction_s/{part}", part, before, None) for before, part in zip(steps, PARTS, strict=False)]
    return [
        result(
            name,
            under_up[part] - under_up[before],
            "s",
            beside=beside,
            beside_figure=in_front[part] - in_front[before],
            aim=aim,
        )
        for name, part, before, aim in rows
    ]


def _soonest(react: Callable[[], dict[str, float]]) -> dict[str, float]:
    return min((react() for _ in range(ROUNDS)), key=lambda at: at["answered"])


def _under_up() -> dict[str, float]:
    with _deployment() as tiny, started(tiny.settings, *UP):
        return _reaction(tiny, lambda: None)


def _in_front() -> dict[str, float]:
    with _deployment() as tiny, started(tiny.settings, *SERVE):
        loop = foreground(tiny.settings)
        return _reaction(tiny, lambda: loop.settle(NAME))


@contextmanager
def _deployment() -> Iterator[Tiny]:
    """The product with its history made and a first version deployed."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = declare(load_settings(home=Path(folder, "home")), Path(folder))
        said(python("-m", "mlops_assets.cli", "backfill", NAME), tiny.settings)
        yield tiny


def _reaction(tiny: Tiny, settle: Callable[[], object]) -> dict[str, float]:
    """Return when each part was done, in seconds after the drifting window was sealed."""
    with connected(tiny) as client:
        replay(client, day=0, turned=False)
        settle()
        replay(client, day=1, turned=True)
        settle()
        answered = until(lambda: _second(client), within_s=WITHIN_S, what="an answer of the second version")
    if client.failures:
        raise RuntimeError(f"{len(client.failures)} requests failed: {client.failures[0]}")
    return _since_sealed(tiny, answered)


def _second(client: Client) -> datetime | None:
    return datetime.now(UTC) if answer_of(client, 2, day=2) else None


def _since_sealed(tiny: Tiny, answered: datetime) -> dict[str, float]:
    archive = Archive(tiny.settings.home)
    stages = {
        "sealed": Stage.PREDICTIONS,
        "judged": Stage.PERFORMANCE,
        "followed": Stage.FEATURES,  # the window's rows and labels are data to learn from
        "trained": Stage.MODEL,
    }
    held = {part: archive.head(Place(product=NAME, stage=stage, partition=DRIFTED)) for part, stage in stages.items()}
    at = {part: datetime.fromisoformat(each.envelope.at) for part, each in held.items() if each is not None}
    asking = next(decision for decision in stored_decisions(tiny.settings.home, NAME) if decision.retrain)
    at["decided"] = datetime.fromisoformat(asking.decided_at)
    at["promoted"] = datetime.fromisoformat(archive.ledger.acts(NAME, "promote")[-1].at)
    at["answered"] = answered
    return {part: (when - at["sealed"]) / timedelta(seconds=1) for part, when in at.items()}
