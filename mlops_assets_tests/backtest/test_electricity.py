"""The electricity product as a user would declare it: monthly windows, daily monitoring of 48 half-hours."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.backtest.candidates import candidate
from mlops_assets.backtest.history import read_history
from mlops_assets.catalogue import read_catalogue
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL
from mlops_assets_tests.backtest.conftest import make_features
from mlops_assets_tests.tiny import Tiny

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "electricity" / "electricity.csv"
DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: electricity
  source: {path: electricity.csv, time: interval_start}
  label: {column: price_up, delay: 1d}
  windows: {every: month, start: 1996-05-01, end: 1998-12-01}
  monitor: {every: day}
  features: [day_of_week, period_of_day, nsw_demand, vic_price, vic_demand, transfer]
  trainer: {kind: lightgbm, windows: 3}
  gate: {metric: auc, floor: 0.6}
"""


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")
def test_its_first_served_month_has_verdicts(settings: Settings, tmp_path: Path):
    (tmp_path / "defs" / "electricity").mkdir(parents=True)
    (tmp_path / "defs" / "electricity" / "defs.yaml").write_text(DECLARATION)
    pl.read_csv(DATA, n_rows=25 * 48 + 30 * 48 + 31 * 48).write_csv(tmp_path / "electricity.csv")  # May to July 1996
    own = replace(settings, root=tmp_path, defs=tmp_path / "defs")
    made = Tiny(settings=own, product=read_catalogue(own.defs).product("electricity"))
    make_features(made)

    first = candidate(read_history(made.product, own, ALL), own, 0, tmp_path / "kept")

    june = [each for each in first.signals if each.window.startswith("1996-06")]
    told = {source: [each.state for each in june if each.source == source] for source in ("inputs", "loss", "relation")}
    assert next(each.window for each in june if each.source == "inputs") == "1996-06-02"  # May's labels take a day
    assert all(told.values())
    assert not [source for source, states in told.items() if "cannot tell" in states]
