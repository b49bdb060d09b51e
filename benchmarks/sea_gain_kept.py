"""How much of what retraining every block gains *on drift* keeps, where only the relation changes.

50,000 rows of SEA (Street and Kim, KDD 2001): the concept switches every 12,500 rows, inputs stay as they are, a tenth
of the labels is noise. Blocks have the 1,440 rows of `electricity_gain_kept`, so nothing is chosen for this stream; the
switches fall inside blocks, which then are of two concepts.
"""

from pathlib import Path

import polars as pl

from benchmarks.replayed import Stream, kept, public
from benchmarks.results import Result

FIGURE = "sea_gain_kept"


def measure() -> list[Result]:
    """Return the share of gain kept, and that of the other policies; nothing without the data."""
    folder = public("sea", FIGURE)
    return kept(sea(folder), FIGURE) if folder else []


def sea(folder: Path) -> Stream:
    """Return the stream's rows."""
    inputs = pl.read_csv(folder / "SEA_training_data.csv", has_header=False, new_columns=["a", "b", "c"])
    label = pl.read_csv(folder / "SEA_training_class.csv", has_header=False, new_columns=["over"])
    return Stream(name="sea", rows=inputs.hstack(label), label="over")
