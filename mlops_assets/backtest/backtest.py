"""A product's history -> which policy of retraining would have been worth it; written as JSON, PNG and HTML."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from mlops_assets.backtest.drawn import html, png
from mlops_assets.backtest.history import read_history
from mlops_assets.backtest.matrix import Report, matrix
from mlops_assets.backtest.outcome import Backtest, backtested, policies
from mlops_assets.evidence.store import replace
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Written:
    """A backtest, and the files that show it."""

    found: Backtest
    files: tuple[Path, ...]


def backtest(
    product: ModelProduct, settings: Settings, segment: str, *, out: Path | None, jobs: int, report: Report
) -> Written:
    """Return the backtest of a segment, written below `out` (default: the home's `backtests/<product>/<segment>`).

    What each window's model was worth is kept in the home, so that a second backtest makes only what is new.

    Raises:
        ValueError: If the product has no windows.
        NotReady: If its features are not made, or there is too little of them.
    """
    history = read_history(product, settings, segment)
    own = settings.home / "backtests" / product.name / segment
    made = matrix(history, settings, own / "candidates", jobs=jobs, report=report)
    assert product.windows is not None  # or there is no history
    found = backtested(made, policies(product.retrain, product.windows))
    folder, plot = out or own, png(found)
    contents = {
        "backtest.json": msgspec.json.format(msgspec.json.encode(found), indent=2),
        "backtest.png": plot,
        "backtest.html": html(found, plot).encode(),
    }
    for name, content in contents.items():
        replace(folder / name, content)
    return Written(found=found, files=tuple(folder / name for name in contents))
