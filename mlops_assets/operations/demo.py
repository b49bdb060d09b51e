"""The whole loop on simulated loan applications: history, endpoint, live traffic, drift, retraining, swap, proof.

The world changes at dates that nothing downstream knows: in the north other applicants are approved from one day on (a
concept drift, which no input shows), in the south salaries rise (a data drift). The graph's own sensors find out.
"""

import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from mlops_assets.catalogue import read_catalogue
from mlops_assets.defs.loans.applications import HISTORY_START, HISTORY_WEEKS, ROWS_PER_DAY, Change, world
from mlops_assets.loop import Loop
from mlops_assets.operations.backfill import backfill
from mlops_assets.operations.children import children
from mlops_assets.operations.demo_summary import summarize
from mlops_assets.operations.foreground import foreground
from mlops_assets.operations.story import Story
from mlops_assets.operations.traffic import Answer, Client, replayed
from mlops_assets.operations.watch import Watched, watch
from mlops_assets.product import ModelProduct
from mlops_assets.serving.workers import live_workers
from mlops_assets.settings import Settings, environment

NAME = "loans"
DAY = timedelta(days=1)
LIVE_START = HISTORY_START + timedelta(weeks=HISTORY_WEEKS)
LIVE_DAYS = 20
CONCEPT = Change(at=LIVE_START + 7 * DAY, region="north", function=5)
SALARIES = Change(at=LIVE_START + 9 * DAY, region="south", salary_factor=1.4)
LABEL_DELAY_DAYS = 2
START_WITHIN_S = 30


def demo(settings: Settings) -> int:
    """Run the loop from nothing under `settings.home`, and return 0 if every step of it happened, else 1.

    Raises:
        FileExistsError: If the home holds something that no earlier demo left there.
        Busy: If an earlier demo, or `up`, still runs under it.
    """
    story = Story()
    product = read_catalogue(settings.defs).product(NAME)
    with _endpoint(settings, story) as url:
        client = Client(url=url, product=NAME)
        story.say("history: five weeks of applications in two regions, a model for each region")
        if backfill(settings, NAME, stage=None, windows=None, segments=None, dry_run=False):
            story.step("history", False, "a run failed")
            return story.end()
        story.step("history", True, f"{HISTORY_WEEKS} weeks made, a model per region trained, promoted and deployed")
        seen = _live(settings, product, client, story)
    summarize(settings, product, client, seen, story, concept=CONCEPT, data=SALARIES)
    return story.end()


@contextmanager
def _endpoint(settings: Settings, story: Story) -> Generator[str]:
    """Run the real endpoint in its own process, from an empty home, and give its URL."""
    command = [sys.executable, "-m", "mlops_assets.cli", "serve", NAME, "--port", "0", "--clock", "replay"]
    with children(settings.home) as started:
        _clear(settings.home)
        story.say(f"everything is kept under {settings.home}; look at it with: mlops-assets --home {settings.home} up")
        process = started.start(command, environment(settings), quiet=True)
        deadline = time.monotonic() + START_WITHIN_S
        while not (workers := live_workers(settings.serving(NAME), datetime.now(UTC))):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the endpoint did not start within {START_WITHIN_S} s (exit code {process.poll()})")
            time.sleep(0.05)
        story.say(f"endpoint at {workers[0].url}; it answers 503 until there is a champion")
        yield workers[0].url


def _clear(home: Path) -> None:
    """Delete what an earlier demo left in `home`, and nothing else."""
    mark = home / "locks" / NAME
    found = [path for path in home.iterdir() if path != mark.parent]
    if found and not mark.exists():
        raise FileExistsError(f"{home} holds {found[0].name}, which is not of an earlier demo; choose another --home")
    mark.touch()
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _live(settings: Settings, product: ModelProduct, client: Client, story: Story) -> list[Watched]:
    """Replay live days; while a day is judged, the next day's traffic runs. Return what the sensors did, day by day."""
    rows = world(LIVE_START, (LIVE_DAYS + 6) // 7, ROWS_PER_DAY, changes=(CONCEPT, SALARIES), seed=1)
    loop = foreground(settings)
    story.say(
        f"live: {LIVE_DAYS} days over HTTP, {2 * ROWS_PER_DAY} applications a day; labels {LABEL_DELAY_DAYS} days late"
    )
    seen: list[Watched] = []
    for day in range(LIVE_DAYS + 1):
        today = LIVE_START + day * DAY
        _report_due(client, today)
        client.advance(today)
        of_day = rows.filter(pl.col("applied_at").is_between(today, today + DAY, closed="left"))
        with replayed(client, of_day, time_column="applied_at", segment="region", label="approved"):
            if day:
                seen.append(_judge(settings, product, loop, today - DAY))
                story.say(seen[-1].line)
    return seen


def _report_due(client: Client, today: datetime) -> None:
    """Report the labels that are due when `today` begins: those of the day that ended `LABEL_DELAY_DAYS` ago."""
    first = today - (LABEL_DELAY_DAYS + 1) * DAY
    due: list[Answer] = [answer for answer in client.answers if first <= answer.at < first + DAY]
    if due:
        client.report(due)


def _judge(settings: Settings, product: ModelProduct, loop: Loop, day: datetime) -> Watched:
    began = time.monotonic()
    ran = loop.settle(product.name)
    return watch(settings, product, day, ran, began)
