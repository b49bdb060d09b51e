"""Every row goes to one segment and window, or is kept with the reason why it belongs to none."""

import polars as pl
import pytest

from mlops_assets.intake.placing import split
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Gate
from mlops_assets.windows import Grid


def product(key: str | None = None, timezone: str = "UTC") -> ModelProduct:
    return ModelProduct(
        name="p",
        source=Source(path="a.csv", time="at", segment="region", key=key),
        label=Label(column="y"),
        segments=("north", "south"),
        windows=Grid(every="day", start="2026-01-01", end="2026-01-03", timezone=timezone),  # pyright: ignore
        features=("x",),
        gate=Gate(floor=0.5),
    )


def rows(*places: tuple[str | None, str | None]) -> pl.DataFrame:
    frame = pl.DataFrame(places, schema={"at": pl.String, "region": pl.String}, orient="row")
    return frame.with_columns(id=pl.int_range(pl.len()).cast(pl.String), x=pl.lit("1"), y=pl.lit("0"))


def test_rows_are_cut_into_segments_and_windows_by_time():
    frame = rows(("2026-01-02T10:00", "north"), ("2026-01-01T23:59:59", "north"), ("2026-01-02T09:00", "north"))

    placed = split(frame, product(key="id"))

    assert {key: part["_key"].to_list() for key, part in placed.partitions.items()} == {
        ("north", "2026-01-01"): ["1"],
        ("north", "2026-01-02"): ["2", "0"],
    }
    assert placed.unplaced.is_empty()


def test_windows_are_those_of_their_timezone():
    placed = split(rows(("2026-01-01T23:30:00Z", "south")), product(key="id", timezone="Europe/Berlin"))

    assert list(placed.partitions) == [("south", "2026-01-02")]


@pytest.mark.parametrize(
    ("at", "region", "reason"),
    [
        (None, "north", "at: '' is no time; right is ISO 8601, as 2026-01-31T12:00:00Z"),
        ("soon", "north", "at: 'soon' is no time; right is ISO 8601, as 2026-01-31T12:00:00Z"),
        ("2025-12-31", "north", "at: '2025-12-31' is before the first window, 2026-01-01 00:00"),
        ("2026-01-03", "north", "at: '2026-01-03' is after the last window, which ends 2026-01-03 00:00"),
        ("2026-01-02", "east", "region: 'east' is no segment; known: north, south"),
        ("2026-01-02", None, "region: '' is no segment; known: north, south"),
    ],
)
def test_a_row_that_belongs_nowhere_is_kept_with_its_reason(at: str | None, region: str | None, reason: str):
    placed = split(rows((at, region), ("2026-01-01", "south")), product())

    assert placed.unplaced["_reason"].to_list() == [reason]
    assert list(placed.partitions) == [("south", "2026-01-01")]


def test_without_a_key_the_time_is_one_so_an_inserted_row_moves_no_other_window():
    first = rows(("2026-01-01T10:00", "north"), ("2026-01-02T10:00", "north"))
    more = rows(("2026-01-01T09:00", "north"), ("2026-01-01T10:00", "north"), ("2026-01-02T10:00", "north"))

    before, after = split(first, product()), split(more, product())

    second = ("north", "2026-01-02")
    assert before.partitions[second]["_key"].to_list() == ["north-2026-01-02T10:00:00Z"]
    assert after.partitions[second]["_key"].equals(before.partitions[second]["_key"])


def test_rows_of_the_same_time_are_numbered():
    placed = split(rows(("2026-01-01", "north"), ("2026-01-01", "north"), ("2026-01-01", "south")), product())

    keys = [part["_key"].to_list() for part in placed.partitions.values()]
    assert keys == [["north-2026-01-01T00:00:00Z", "north-2026-01-01T00:00:00Z#2"], ["south-2026-01-01T00:00:00Z"]]


def test_without_time_key_and_segment_a_row_is_its_position():
    plain = ModelProduct(
        name="p", source=Source(path="a.csv"), label=Label(column="y"), features=("x",), gate=Gate(floor=0.5)
    )

    placed = split(pl.DataFrame({"x": ["1", "2"], "y": ["0", "1"]}), plain)

    [part] = placed.partitions.values()
    assert list(placed.partitions) == [("all", "all")]
    assert part["_key"].to_list() == ["row-000000", "row-000001"]
    assert part["_time"].to_list() == [None, None]
