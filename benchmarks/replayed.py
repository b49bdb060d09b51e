"""Public data as products: a row a tick of a clock that makes every block of rows one window, and the policies on it.

`windows` know hours, days, weeks and months, not numbers of rows. So row r is put where block r // rows is a day and
the rows of a block lie evenly in it; an hour is a twenty-fourth of a block. Nothing else of a row is changed, and the
clock is no feature.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from benchmarks.results import Result, result
from mlops_assets.backtest.history import read_history
from mlops_assets.backtest.matrix import Matrix, matrix
from mlops_assets.backtest.outcome import DRIFT, EVERY, NEVER, Backtest, backtested, policies
from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import parse
from mlops_assets.intake.ingest import ingest
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, ModelProduct
from mlops_assets.settings import Settings, load_settings
from mlops_assets.windows import ALL

PUBLIC = Path(__file__).resolve().parents[2] / "shared" / "data"
BLOCK = 1_440
START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: {name}
  source: {{path: {name}.parquet, time: at, key: row}}
  label: {{column: label}}
  windows: {{every: day, start: 2024-01-01, end: {end:%Y-%m-%d}}}
  monitor: {{every: hour}}
  features: [{features}]
  trainer: {{kind: lightgbm, windows: {windows}, forget: true}}
  gate: {{metric: accuracy, floor: 0.5}}
"""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Labelled rows in blocks of `block`; validation chooses how many of the last `windows` blocks to learn from."""

    name: str
    rows: pl.DataFrame
    label: str
    block: int = BLOCK
    windows: int = 12


def public(name: str, figure: str) -> Path | None:
    """Return the folder of public data called `name`; without it, say that `figure` is left out, and why."""
    folder = PUBLIC / name
    if folder.exists():
        return folder
    print(f"{figure}: left out, {folder} is not there")
    return None


def kept(stream: Stream, figure: str, *, aim: float | None = None) -> list[Result]:
    """Return the share of gain that the declared policy keeps, beside as many retrains evenly spaced, and its parts."""
    with tempfile.TemporaryDirectory() as folder:
        found = replayed(stream, Path(folder), jobs=os.cpu_count() or 1)
    return rows(found, figure, aim=aim)


def rows(found: Backtest, figure: str, *, aim: float | None) -> list[Result]:
    """Return the rows of a backtest: the declared policy, its retrains and its limit, and then the other policies."""
    declared = found.row(DRIFT)
    best = result(f"{figure}/as many in hindsight", _share(found, declared.best), "share")
    count = result(f"{figure}/retrains", declared.retrains, "retrains", aim=found.occasions // 3)
    others = [row.policy for row in found.policies if row.policy not in (NEVER, EVERY, DRIFT)]
    return [
        _beside_evenly(found, figure, DRIFT, aim=aim),
        count,
        best,
        *(_beside_evenly(found, f"{figure}/{policy}", policy) for policy in others),
    ]


def replayed(stream: Stream, folder: Path, *, jobs: int) -> Backtest:
    """Return the backtest of a stream, all made below `folder`."""
    made = blocks_of(stream, folder, jobs=jobs)
    product = made.history.product
    assert product.windows is not None
    return backtested(made, policies(product.retrain, product.windows))


def blocks_of(stream: Stream, folder: Path, *, jobs: int) -> Matrix:
    """Return every block's model on every later block."""
    product, settings = declared(stream, folder)
    for partition in sorted(ingest(Archive(settings.home), product, settings).partitions, key=lambda p: parse(p)[1]):
        for stage in DATA:
            step(stage, product, settings).make(partition)
    history = read_history(product, settings, ALL)
    return matrix(history, settings, settings.home / "kept", jobs=jobs, report=lambda _: None)


def declared(stream: Stream, folder: Path) -> tuple[ModelProduct, Settings]:
    """Write source and declaration of a stream below `folder`; rows that fill no block are left out."""
    blocks = stream.rows.height // stream.block
    rows = stream.rows.head(blocks * stream.block).rename({stream.label: "label"})
    ticks = pl.int_range(rows.height, dtype=pl.Int64) * (DAY // timedelta(microseconds=1)) // stream.block
    at = (pl.lit(START) + ticks.cast(pl.Duration("us"))).alias("at")
    (folder / "defs" / stream.name).mkdir(parents=True)
    rows.with_columns(at, row=pl.int_range(rows.height)).write_parquet(folder / f"{stream.name}.parquet")
    text = DECLARATION.format(
        name=stream.name,
        end=START + blocks * DAY,
        features=", ".join(name for name in rows.columns if name != "label"),
        windows=stream.windows,
    )
    (folder / "defs" / stream.name / "defs.yaml").write_text(text)
    settings = replace(load_settings(home=folder / "home"), root=folder, defs=folder / "defs")
    return read_catalogue(settings.defs).product(stream.name), settings


def _beside_evenly(found: Backtest, name: str, policy: str, *, aim: float | None = None) -> Result:
    row = found.row(policy)
    evenly = f"{row.retrains} retrains, evenly spaced"
    share = _share(found, row.evenly)
    return result(name, row.kept or 0.0, "share", beside=evenly, beside_figure=share, aim=aim, at_least=aim is not None)


def _share(found: Backtest, quality: float) -> float:
    never, every = found.row(NEVER).quality, found.row(EVERY).quality
    return (quality - never) / (every - never)
