from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.training.frozen import freeze_bins
from mlops_assets.training.reference import Reference, logged_losses, reference
from mlops_assets.windows import Grid
from mlops_assets_tests.detection.populations import reference_of, table


def test_windows_are_cut_in_time_order_whatever_the_order_of_rows():
    rows = pl.DataFrame({"x": np.repeat(np.arange(28.0), 50), "_at": np.arange(1400)})

    seen = reference(rows.sample(fraction=1, shuffle=True, seed=1), at="_at", rows_per_window=50, seed=0)

    assert (seen.kind, seen.rows, len(seen.windows)) == ("windows", 1400, 28)
    assert [int(np.argmax(window.columns["x"].bins)) for window in seen.windows][:3] == [1, 2, 3]


def test_more_rows_give_more_windows_up_to_a_hundred_of_the_newest():
    rows = pl.DataFrame({"x": np.arange(3_030.0)})

    seen = reference_of(rows, 30)

    assert len(seen.windows) == 100
    assert seen.windows[0].columns["x"].bins[0] == 0  # the 30 oldest rows are left out


@pytest.mark.parametrize(("rows", "kind"), [(1_000, "partly resampled"), (200, "resampled")])
def test_too_few_rows_are_resampled_and_it_says_so(rows, kind):
    frame = table(np.random.default_rng(0), rows)

    seen = reference_of(frame, 300)

    assert (seen.kind, seen.rows, len(seen.windows)) == (kind, rows, 28)
    assert {window.rows for window in seen.windows} == {300}
    assert seen == reference_of(frame, 300)


def test_keys_times_labels_and_losses_are_not_counted():
    frame = pl.DataFrame({"x": range(60), "_key": range(60), "_label": [0, 1] * 30, "loss": [0.1] * 60})

    seen = reference(frame, at=None, rows_per_window=2, seed=0)

    assert seen.bins.columns == ["x"]
    assert seen.loss is not None
    assert (seen.loss.mean, seen.loss.rows) == (pytest.approx(0.1), 60)


def test_held_out_scores_replace_those_of_the_training_rows():
    frame = pl.DataFrame({"x": np.arange(600.0), "prediction": np.zeros(600)})

    seen = reference(frame, at=None, rows_per_window=20, seed=0, held_out=pl.Series(np.linspace(0.4, 0.6, 100)))

    assert (seen.rows, seen.scored, seen.kind) == (600, 100, "windows")
    assert seen.bins.numeric[-1].edges[0] > 0.4
    assert {window.columns["prediction"].valid for window in seen.windows} == {20}


def test_windows_of_unequal_length_have_as_many_held_out_scores_as_rows():
    sizes, start = [40 + day for day in range(30)], datetime(2026, 1, 1, tzinfo=UTC)
    at = [start + timedelta(days=day, minutes=row) for day, size in enumerate(sizes) for row in range(size)]
    frame = pl.DataFrame({"x": np.arange(float(len(at))), "_at": at})
    grid = Grid(every="day", start=start)

    seen = reference(frame, at="_at", rows_per_window=50, seed=0, held_out=pl.Series(np.linspace(0, 1, 150)), grid=grid)

    assert [window.rows for window in seen.windows] == sizes
    assert [window.columns["prediction"].valid for window in seen.windows] == sizes


def test_levels_that_one_window_alone_holds_count_as_unseen_in_it():
    towns = [f"town{i}" for i in range(60)] + ["city"] * 1_340
    frame = pl.DataFrame({"place": towns + [f"big{i}" for i in range(25)] * 40})

    seen = reference_of(frame, 80)

    assert seen.windows[0].columns["place"].bins[-1] == 60  # nobody had met these towns before that window
    assert [window.columns["place"].bins[-1] for window in seen.windows[1:]] == [0] * 29
    assert seen.windows[-1].columns["place"].bins[-2] > 0  # the five least frequent levels, known from other windows


def test_spread_of_losses_between_windows_is_kept():
    day = np.repeat(np.random.default_rng(0).normal(0.5, 0.2, 40), 100)
    noise = np.random.default_rng(1).normal(0, 0.1, 4_000)

    seen = reference(
        pl.DataFrame({"x": noise, "loss": day + noise, "_at": range(4_000)}), at="_at", rows_per_window=100, seed=0
    )

    assert seen.loss is not None
    assert seen.loss.between == pytest.approx(0.2, abs=0.06)


def test_a_reference_survives_json():
    seen = reference_of(table(np.random.default_rng(0), 400), 100)

    assert msgspec.json.decode(msgspec.json.encode(seen), type=Reference) == seen


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one row and one row a window, found 0 rows, 20 rows a window"):
        reference(pl.DataFrame({"x": []}), at=None, rows_per_window=20, seed=0)


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="no column 'y' to freeze bins of; found: x"):
        freeze_bins(pl.DataFrame({"x": [1]}), ["y"])


def test_loss_of_several_classes_is_whether_the_likeliest_was_wrong():
    assert logged_losses("multiclass", np.array([0.0, 2.0]), np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
