"""Rates over windows whose truth is known. Seeds are fixed, so the rates are too."""

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.detection.components import components
from mlops_assets.detection.drift import judge
from mlops_assets.detection.verdict import Verdict
from mlops_assets.training.bins import Counts
from mlops_assets.training.reference import Reference
from mlops_assets_tests.detection.populations import counts, coupled, reference_of, table

PROMISED = 1 / 29 + 1 / 1_000


def judged(live: Counts, seen: Reference) -> Verdict:
    """The verdict on a window alone."""
    return judge(live, seen).verdict


def rate(rows: int, change=lambda frame, random: frame, *, histories: int, windows: int, behind: int = 0, **world):
    """Share of live windows that alarm, and the last such verdict. `behind` rows of history instead of 28 windows."""
    alarms, last = 0, None
    for seed in range(histories):
        random = np.random.default_rng(seed)
        history = table(random, behind, **world) if behind else table(random, rows, windows=28, **world)
        seen = reference_of(history, rows)
        for _ in range(windows):
            verdict = judged(counts(change(table(random, rows, **world), random), seen), seen)
            if verdict.state == "drift":
                alarms, last = alarms + 1, verdict
    return alarms / (histories * windows), last


def shifted(by: float):
    return lambda frame, _: frame.with_columns(n0=pl.col("n0") + by)


def some(column: str, value: object, share: float):
    def change(frame: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
        hit = pl.Series(random.random(frame.height) < share)
        return frame.with_columns(pl.when(hit).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))

    return change


@pytest.mark.parametrize(
    ("rows", "world"),
    [
        (300, {}),
        (300, {"jitter": 0.05}),
        (2_000, {"jitter": 0.05}),
        (2_000, {"jitter": 0.05, "tails": True}),
        (300, {"behind": 1_000}),
        (300, {"behind": 200}),
    ],
)
def test_ordinary_windows_alarm_no_more_often_than_promised(rows, world):
    alarms, _ = rate(rows, histories=10, windows=20, **world)

    assert alarms <= PROMISED


@pytest.mark.parametrize("rows", [300, 2_000])
def test_half_a_standard_deviation_in_one_column_is_found_in_its_first_window(rows):
    found, verdict = rate(rows, shifted(0.5), histories=4, windows=5)

    assert found == 1.0
    assert verdict.kind == "data"
    assert verdict.columns[0].column == "n0"
    assert verdict.columns[0].effect == pytest.approx(0.5, abs=0.2)
    assert "n0 is 0." in verdict.words
    assert "sd higher" in verdict.words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shifted(-0.5), "sd lower"),
        (lambda frame, _: frame.with_columns(pl.col("n0") * 1.3), "n0 varies 1."),
        (some("t0", "new", 0.01), "t0 has a value new to training in"),
        (some("t0", "v9", 0.03), "t0 is 'v9' in"),
        (some("n0", None, 0.01), "n0 is missing in"),
        (some("t0", None, 0.01), "t0 is missing in"),
        (some("n0", float("inf"), 0.01), "n0 is infinite in"),
        (some("n0", 9.0, 0.01), "n0 lies outside training's range in"),
    ],
)
def test_what_changed_is_found_and_named(change, words):
    found, verdict = rate(2_000, change, histories=2, windows=5, jitter=0.05)

    assert found >= 0.9
    assert words in verdict.words
    assert [shift.column for shift in verdict.columns] == [words.split()[0] if "sd" not in words else "n0"]


def test_a_column_cut_loose_from_the_others_is_found_though_its_own_distribution_is_as_it_was():
    random = np.random.default_rng(0)
    seen = reference_of(coupled(random, 28 * 500), 500)

    quiet = [judged(counts(coupled(random, 500), seen), seen).state for _ in range(40)]
    broken = [judged(counts(coupled(random, 500, break_up=True), seen), seen) for _ in range(20)]

    assert quiet.count("drift") <= 1
    assert {verdict.state for verdict in broken} == {"drift"}
    joint = [verdict for verdict in broken if verdict.kind == "joint"]
    assert len(joint) >= 18
    assert {verdict.columns[0].column for verdict in joint} == {"n0"}


def test_columns_that_begin_to_move_together_are_joint_drift():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 500, windows=28), 500)
    tied = [table(random, 500).with_columns(n1=0.5 * pl.col("n0") + 0.866 * pl.col("n1")) for _ in range(10)]

    verdicts = [judged(counts(rows, seen), seen) for rows in tied]

    assert {(verdict.state, verdict.kind) for verdict in verdicts} == {("drift", "joint")}
    assert all({"n0", "n1"} <= {column.column for column in verdict.columns} for verdict in verdicts)


def test_a_shift_of_the_scores_alone_is_prediction_drift():
    random = np.random.default_rng(0)
    history = table(random, 300, windows=28).with_columns(prediction=pl.Series(random.random(28 * 300)))
    seen = reference_of(history, 300)
    live = table(random, 300).with_columns(prediction=pl.Series(random.random(300) ** 2))

    verdict = judged(counts(live, seen), seen)

    assert (verdict.state, verdict.kind) == ("drift", "prediction")


def test_the_smallest_shift_it_claims_to_see_is_seen_in_most_windows():
    random = np.random.default_rng(3)
    seen = reference_of(table(random, 300, windows=28), 300)
    claimed = judged(counts(table(random, 300), seen), seen).smallest_shift["n0"]

    found = [judged(counts(shifted(claimed)(table(random, 300), random), seen), seen).state for _ in range(60)]

    assert 0.2 < claimed < 0.6
    assert found.count("drift") / 60 >= 0.65


def test_one_absurd_value_in_training_does_not_hide_a_shift():
    random = np.random.default_rng(0)
    history = table(random, 500, windows=28).with_columns(
        n0=pl.when(pl.int_range(pl.len()) == 7).then(1e6).otherwise(pl.col("n0"))
    )
    seen = reference_of(history, 500)

    verdict = judged(counts(shifted(0.5)(table(random, 500), random), seen), seen)

    assert verdict.state == "drift"
    assert verdict.columns[0].effect == pytest.approx(0.5, abs=0.2)


def test_one_row_of_a_new_level_in_five_thousand_is_no_drift():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 5_000, windows=28), 5_000)
    live = table(random, 5_000).with_columns(
        t0=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("new")).otherwise("t0")
    )

    assert judged(counts(live, seen), seen).state == "ok"


def test_columns_with_a_long_tail_of_levels_are_not_always_drifting():
    random = np.random.default_rng(0)

    def towns(rows: int) -> pl.DataFrame:
        return pl.DataFrame(
            {"town": random.zipf(1.3, rows).astype(str), "id": random.integers(0, 10**9, rows).astype(str)}
        )

    seen = reference_of(towns(28 * 500), 500)

    assert [judged(counts(towns(500), seen), seen).state for _ in range(40)].count("drift") <= 1


def test_a_different_number_of_rows_is_no_drift():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 300, windows=28), 300)

    for rows in (60, 150, 1_000, 5_000):
        states = [judged(counts(table(random, rows), seen), seen).state for _ in range(10)]
        assert states.count("drift") <= 1, rows


@pytest.mark.parametrize(
    ("rows", "history", "words"),
    [
        (0, 3_000, "cannot tell: no predictions in this window"),
        (12, 3_000, "cannot tell: 12 rows in this window, needs 40"),
        (300, 30, "cannot tell: 30 rows behind the reference, needs 40"),
    ],
)
def test_too_little_is_cannot_tell_and_says_what_is_missing(rows, history, words):
    random = np.random.default_rng(0)
    seen = reference_of(table(random, history), 100)

    verdict = judged(counts(table(random, rows), seen), seen)

    assert (verdict.state, verdict.p_value, verdict.words) == ("cannot tell", None, words)


def test_a_changed_schema_is_drift_without_statistics():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 3_000), 100)

    verdict = judged(counts(table(random, 10).drop("n3"), seen), seen)

    assert (verdict.state, verdict.kind, verdict.words) == ("drift", "schema", "schema changed: n3 is missing")


def test_columns_that_never_vary_and_columns_of_nulls_are_no_trouble():
    random = np.random.default_rng(0)

    def frame(rows: int) -> pl.DataFrame:
        constant = {"one": [1.0] * rows, "flag": random.random(rows) < 0.02, "nothing": [None] * rows}
        return pl.DataFrame({**constant, "zeros": np.maximum(random.normal(size=rows) - 1.5, 0)})

    seen = reference_of(frame(28 * 300), 300)

    assert judged(counts(frame(300), seen), seen).state == "ok"
    assert "one lies outside" in judged(counts(frame(300).with_columns(one=pl.lit(2.0)), seen), seen).words
    assert judged(counts(frame(300).with_columns(flag=pl.lit(True)), seen), seen).columns[0].column == "flag"


def test_counts_over_other_bins_are_refused():
    random = np.random.default_rng(0)
    one, other = (reference_of(table(random, 500), 100) for _ in range(2))

    with pytest.raises(ValueError, match="but the reference has bins"):
        judged(counts(table(random, 100), one), other)


def test_which_window_is_the_live_one_makes_no_difference_to_how_far_it_lies_out():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 300, windows=28, jitter=0.1), 300)
    live = counts(table(random, 300, jitter=0.1), seen)
    windows = [*seen.windows, live]
    swapped = msgspec.structs.replace(seen, windows=[live, *seen.windows[1:]])

    one, other = (components(each, seen.bins, seen.rows) for each in (windows, [*swapped.windows, seen.windows[0]]))

    place = list(range(1, 28))
    for mine, its in zip(one, other, strict=True):
        assert (mine.column, mine.what) == (its.column, its.what)
        np.testing.assert_allclose(mine.values[place], its.values[place], atol=1e-9)
        np.testing.assert_allclose([mine.values[0], mine.values[-1]], [its.values[-1], its.values[0]], atol=1e-9)
