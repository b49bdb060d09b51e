"""A model of thirty plain numbers, the size at which the aims of the endpoint were set: 20,000 rows in four weeks."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

ROWS, COLUMNS, WEEKS = 20_000, 30, 4
START = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = tuple(f"f{number:02}" for number in range(COLUMNS))
DECLARATION = f"""\
type: mlops_assets.ModelProduct
attributes:
  name: wide
  source: {{function: benchmarks.served_wide.history, time: at, key: id}}
  label: {{column: label}}
  windows: {{every: week, start: 2026-01-05}}
  features: [{", ".join(NAMES)}]
  trainer: {{kind: lightgbm, windows: 4, forget: true}}
  gate: {{metric: auc, floor: 0.8}}
"""


def history() -> pl.LazyFrame:
    """Return standard normal numbers, and whether the first plus the product of the next two is positive."""
    draw = np.random.default_rng(0)
    drawn = draw.normal(size=(ROWS, COLUMNS))
    label = drawn[:, 0] + drawn[:, 1] * drawn[:, 2] + 0.5 * draw.normal(size=ROWS) > 0
    every = timedelta(weeks=WEEKS) / ROWS
    columns = {name: drawn[:, place] for place, name in enumerate(NAMES)}
    return pl.LazyFrame(
        {
            "id": [f"{number:05}" for number in range(ROWS)],
            "at": [START + number * every for number in range(ROWS)],
            **columns,
            "label": label.astype(np.int64),
        }
    )
