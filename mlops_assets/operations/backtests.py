"""The backtest of a product, one segment after the other, with progress."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlops_assets.backtest.backtest import backtest
from mlops_assets.backtest.candidates import Candidate
from mlops_assets.backtest.history import read_history
from mlops_assets.backtest.outcome import Backtest
from mlops_assets.backtest.words import lines
from mlops_assets.catalogue import read_catalogue
from mlops_assets.operations.progress import Report, progress
from mlops_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Backtests:
    """What was found per segment, and the lines that say it."""

    tables: tuple[Backtest, ...]
    lines: tuple[str, ...]


def backtests(
    settings: Settings, name: str, *, segment: str | None, out: Path | None, jobs: int, quiet: bool
) -> Backtests:
    """Return the backtest of every segment, or of `segment`; with several, each has a folder of its own in `out`.

    Raises:
        LookupError: If there is no such product or segment.
        NotReady: If its features are not made.
        ValueError: If it has no windows, or `jobs` is not positive.
    """
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}; right is 1 or more")
    product = read_catalogue(settings.defs).product(name)
    chosen = (segment,) if segment else product.segments
    tables: list[Backtest] = []
    said: list[str] = []
    for each in chosen:
        folder = out / each if out and len(chosen) > 1 else out
        with progress(len(read_history(product, settings, each).windows)) as report:
            told = _silent if quiet else partial(_tell, report)
            written = backtest(product, settings, each, out=folder, jobs=jobs, report=told)
        tables.append(written.found)
        said += [*lines(written.found), *(f"  {path}" for path in written.files), ""]
    return Backtests(tables=tuple(tables), lines=tuple(said))


def _tell(report: Report, made: Candidate) -> None:
    report(f"model of {made.window}", made.problem or None)


def _silent(made: Candidate) -> None:
    """Say nothing: what is printed is JSON alone."""
