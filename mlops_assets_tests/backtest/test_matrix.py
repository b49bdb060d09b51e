"""How the matrix is made: in one process or several, stopped and gone on, from recorded models or new ones."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mlops_assets.backtest.candidates import Candidate
from mlops_assets.backtest.history import History, Period, Window, known_at, periods, read_history
from mlops_assets.backtest.matrix import Matrix, matrix
from mlops_assets.evidence.step import NotReady
from mlops_assets.operations.flow import step
from mlops_assets.product import Stage
from mlops_assets.windows import ALL, Grid
from mlops_assets_tests.backtest.conftest import Made
from mlops_assets_tests.tiny import DAY, START, Tiny


class Stopped(Exception):
    """Somebody pressed Ctrl-C."""


def timeless(made: Matrix) -> list[Candidate]:
    return [msgspec.structs.replace(each, seconds=0.0, reused=False) for each in made.candidates]


def short(history: History, count: int) -> History:
    """The first windows of a history."""
    windows = history.windows[:count]
    return History(product=history.product, segment=history.segment, windows=windows, periods=periods(windows))


def test_several_processes_make_what_one_makes(turned: Made, tmp_path: Path):
    told: list[str] = []

    several = matrix(
        turned.history, turned.tiny.settings, tmp_path, jobs=2, report=lambda made: told.append(made.window)
    )

    assert timeless(several) == timeless(turned.matrix)
    np.testing.assert_array_equal(several.quality, turned.matrix.quality)
    assert sorted(told) == [window.key for window in turned.history.windows]


def test_a_stopped_backtest_goes_on_where_it_was(turned: Made, tmp_path: Path):
    history = short(turned.history, 5)
    made: list[str] = []

    def stop(candidate: Candidate) -> None:
        made.append(candidate.window)
        if len(made) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        matrix(history, turned.tiny.settings, tmp_path, jobs=1, report=stop)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = matrix(history, turned.tiny.settings, tmp_path, jobs=1, report=lambda _: None)

    assert len(before) == 2
    assert len(list(tmp_path.iterdir())) == 5
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole = matrix(history, turned.tiny.settings, tmp_path / "anew", jobs=1, report=lambda _: None)
    assert timeless(again) == timeless(whole)


def test_a_recorded_model_is_taken_and_nothing_is_recorded(tiny_product: Tiny, tmp_path: Path):
    from mlops_assets_tests.backtest.conftest import make_features

    make_features(tiny_product)
    product, settings = tiny_product.product, tiny_product.settings
    first = read_history(product, settings, ALL).windows[0]
    step(Stage.MODEL, product, settings).make(f"{ALL}|{first.key}")
    records = sorted((settings.home / "records").rglob("*"))
    history = read_history(product, settings, ALL)

    made = matrix(history, settings, tmp_path / "kept", jobs=1, report=lambda _: None)

    assert [each.reused for each in made.candidates] == [True, False, False]
    assert made.candidates[0].seconds > 0
    assert sorted((settings.home / "records").rglob("*")) == records


def test_without_features_it_says_how_to_make_them(tiny_product: Tiny):
    with pytest.raises(NotReady, match=r"found features of 0 windows of tiny.* mlops-assets backfill tiny"):
        read_history(tiny_product.product, tiny_product.settings, ALL)


def test_labels_that_come_late_let_the_old_model_serve_longer():
    days = [START + i * DAY for i in range(5)]
    windows = tuple(
        Window(key=f"{i}", start=a, end=b, ready=b + DAY / 2, record="", root="", rows=1)
        for i, (a, b) in enumerate(pairwise(days))
    )

    cut = periods(windows)

    half = DAY / 2
    assert cut[0] == Period(window=1, start=days[1] + half, end=days[2])
    assert cut[1:3] == (
        Period(window=2, start=days[2], end=days[2] + half),
        Period(window=2, start=days[2] + half, end=days[3]),
    )
    grid = Grid(every="day", start=START)
    assert (known_at(grid, days[1], 0 * DAY), known_at(grid, days[1], half)) == (days[1], days[2])
