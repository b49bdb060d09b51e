"""How much of what retraining every block gains *on drift* keeps, on the New South Wales electricity market.

45,312 half-hours (Harries, 1999), blocks of 1,440 rows, which are thirty days, test-then-train accuracy. `nsw_price` is
left out: the label is made of it. The product is declared as any other, with every threshold at its default.
"""

from pathlib import Path

import polars as pl

from benchmarks.replayed import Stream, kept, public
from benchmarks.results import Result

FIGURE, AIM = "electricity_gain_kept", 0.85


def measure() -> list[Result]:
    """Return the share of gain kept, and that of the other policies; nothing without the data."""
    folder = public("electricity", FIGURE)
    return kept(electricity(folder), FIGURE, aim=AIM) if folder else []


def electricity(folder: Path) -> Stream:
    """Return the market's rows."""
    rows = pl.read_csv(folder / "electricity.csv").drop("interval_start", "nsw_price")
    return Stream(name="electricity", rows=rows, label="price_up")
