"""A product small enough to be made in a test: daily windows, no segments, and a relation that can turn round."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from mlops_assets.catalogue import read_catalogue
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings

NAME = "tiny"
START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS_PER_DAY = 200
HISTORY_DAYS = 3
TRAINER = "{kind: lightgbm, windows: 1, params: {num_iterations: 20}}"
DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: tiny
  source: {path: tiny.csv, time: at, key: id}
  label: {column: good}
  windows: {every: day, start: 2024-01-01, end: 2024-02-01}
  monitor: {every: day, grace: 2s}
  features: [width, height]
  trainer: {kind: lightgbm, windows: 1, params: {num_iterations: 20}}
  gate: {metric: auc, floor: 0.6}
  retrain: {cooldown: 0s, min_rows: 100}
"""


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A declared product whose source is written; nothing of it is made yet."""

    settings: Settings
    product: ModelProduct


def rows(first: datetime, days: int, *, turned: bool = False, seed: int = 0) -> pl.DataFrame:
    """Return days of rows: `good` where `width` + `height` + some noise is over 1, or, `turned`, where it is not."""
    random = np.random.default_rng(seed)
    count = days * ROWS_PER_DAY
    width, height = random.uniform(size=(2, count)).round(4)
    good = (width + height + random.normal(0, 0.1, count) > 1) != turned
    at = [first + DAY * place / ROWS_PER_DAY for place in range(count)]
    ids = [f"{first:%m%d}-{place}" for place in range(count)]
    return pl.DataFrame({"at": at, "id": ids, "width": width, "height": height, "good": good.astype(int)})


def declare(settings: Settings, folder: Path, *, trainer: str = TRAINER) -> Tiny:
    """Write declaration and source, three days of history, below `folder`."""
    (folder / "defs" / NAME).mkdir(parents=True)
    (folder / "defs" / NAME / "defs.yaml").write_text(DECLARATION.replace(TRAINER, trainer))
    rows(START, HISTORY_DAYS).write_csv(folder / "tiny.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    own = replace(settings, root=folder, defs=folder / "defs")
    return Tiny(settings=own, product=read_catalogue(own.defs).product(NAME))
