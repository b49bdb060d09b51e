"""`up`: the loop closes with nobody touching it, it stops cleanly, and started again it continues."""

import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.monitoring.stored import stored_decisions
from mlops_assets.operations.backfill import backfill
from mlops_assets.operations.traffic import Answer, Client
from mlops_assets_tests.started import Started, asked, endpoint, processes, started, until
from mlops_assets_tests.tiny import DAY, NAME, START, Tiny, rows

UP = ("up", "--port", "0", "--endpoint-port", "0", "--clock", "replay")
LIVE = START + 3 * DAY
RUNS = "{runsOrError(limit: 100) {... on Runs {results {jobName status startTime endTime creationTime}}}}"


def made(tiny: Tiny) -> None:
    assert backfill(tiny.settings, NAME, stage=None, windows=None, segments=None, dry_run=False) == 0


def connected(tiny: Tiny) -> Client:
    return Client(url=until(lambda: endpoint(tiny.settings, NAME), what="an endpoint"), product=NAME)


def replay(client: Client, *, day: int, turned: bool) -> None:
    """Send a day of rows, tell at once what became of them, and let the day end."""
    first = LIVE + day * DAY
    sent = len(client.answers)
    for row in rows(first, 1, turned=turned, seed=day + 1).iter_rows(named=True):
        client.predict(row, at=row.pop("at"), segment="all", label=row.pop("good"))
    client.report(client.answers[sent:])
    client.advance(first + DAY)


def answer_of(client: Client, version: int) -> Answer | None:
    """Ask once more, and return the answer if that version gave it."""
    [row] = rows(LIVE + 2 * DAY, 1).head(1).iter_rows(named=True)
    client.predict(row, at=row.pop("at"), segment="all", label=row.pop("good"))
    return client.answers[-1] if client.answers[-1].version == version else None
