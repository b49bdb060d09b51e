"""Values proposed for a declaration come from the data."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.intake.columns import infer_columns
from mlops_assets.intake.proposals import propose_features, propose_gate, propose_kind, propose_windows


@pytest.mark.parametrize(
    ("days", "every", "count"),
    [(0.4, "hour", 11), (5, "day", 6), (30, "day", 31), (70, "week", 11), (940, "month", 32), (7000, "month", 231)],
)
def test_windows_are_the_longest_of_which_there_are_six_to_sixty(days: float, every: str, count: int):
    first = datetime(2026, 1, 7, 10, 30, tzinfo=UTC)

    windows = propose_windows(pl.Series("t", [first, first + timedelta(days=days)]))

    assert (windows.every, windows.count) == (every, count)
    assert windows.start <= first
    assert windows.end > first + timedelta(days=days)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["0", "1", None], "binary"),
        (["yes", "no"], "binary"),
        (["a", "b", "c"], "multiclass"),
        (["1", "2", "3"], "multiclass"),
        (["0.5", "1.25", "2"], "regression"),
        ([str(n) for n in range(50)], "regression"),
    ],
)
def test_the_kind_of_a_label_is_read_off_its_values(labels: list[str | None], kind: str):
    assert propose_kind(pl.Series("y", labels)) == kind


def test_a_label_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match=r"label 'y' is always \['1'\]"):
        propose_kind(pl.Series("y", ["1", "1"]))
    with pytest.raises(ValueError, match="label 'y' has 200 values that are no numbers"):
        propose_kind(pl.Series("y", [f"v{n}" for n in range(200)]))


def test_the_floor_is_better_than_saying_always_the_same():
    assert propose_gate(pl.Series("y", ["0", "1"]), "binary")[:2] == ("auc", 0.6)
    assert propose_gate(pl.Series("y", ["a", "a", "b", "c"]), "multiclass")[:2] == ("accuracy", 0.55)
    assert propose_gate(pl.Series("y", [0.0, 2.0]), "regression")[:2] == (
        "rmse",
        pytest.approx(0.95 * 2**0.5, rel=1e-3),
    )


def test_columns_that_tell_the_label_or_nothing_are_left_out():
    rows = 400
    frame = pl.DataFrame(
        {
            "x": [n * 7 % 31 for n in range(rows)],
            "y": [n % 2 for n in range(rows)],
            "other_words": ["no" if n % 2 == 0 else "yes" for n in range(rows)],
            "score": [n % 2 + n / 1000 for n in range(rows)],
            "constant": [1] * rows,
            "note": [f"text {n}" for n in range(rows)],
            "at": [datetime(2026, 1, 1, tzinfo=UTC)] * rows,
        }
    )

    features, left_out = propose_features(frame, infer_columns(frame), "y", ["at"])

    assert features == ["x"]
    assert left_out == {
        "other_words": "tells the label by itself",
        "score": "tells the label by itself",
        "constant": "always the same",
        "note": "text that hardly repeats",
    }
