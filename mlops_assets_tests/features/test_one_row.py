"""One row's features are those of the batch, bit for bit, by a plan that is made once; or there is no such plan."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mlops_assets.features.one_row import NotPlanned, OneRow
from mlops_assets.features.transform import Transform
from mlops_assets_tests.worked import worked_out

SCHEMA = {"price": pl.Float64(), "rooms": pl.Int64(), "street": pl.String()}
NAMES = ["street", "third", "dear", "high", "rooms", "wave", "exp", "power", "log", "root", "rounded", "each"]
CALLS: list[str] = []


def counted(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The features of `worked_out`; every call is written down."""
    CALLS.append("called")
    return worked_out(rows)


def looking(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A function whose plan depends on the rows."""
    return rows.select(pl.col("price") + rows.collect().height)


def moving(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A function whose plan depends on the time."""
    return rows.select("price", at=pl.lit(datetime.now(UTC).timestamp()))


def doubling(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A function that makes two rows of each."""
    return pl.concat([rows, rows]).select("price")


def exact(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A feature of a type that Python and Polars turn into floats each in their own way."""
    return rows.select(pl.col("price").cast(pl.Decimal(12, 3)))


def of(function: str, names: list[str]) -> OneRow:
    return OneRow(Transform(f"{__name__}.{function}"), SCHEMA, names)


def rows(count: int) -> list[tuple[object, ...]]:
    """Every eleventh price is missing."""
    draw = np.random.default_rng(count)
    prices, rooms = draw.uniform(0, 100, count).tolist(), draw.integers(1, 9, count).tolist()
    streets = draw.choice(["high", "low", "mill"], count).tolist()
    return [(None if at % 11 == 0 else prices[at], rooms[at], streets[at]) for at in range(count)]


def bits(row: tuple[object, ...]) -> list[object]:
    return ["nothing" if value != value else value.hex() if isinstance(value, float) else value for value in row]


def test_each_row_has_the_bits_that_it_has_in_the_batch_and_the_function_is_not_asked_again():
    asked = rows(300)
    made = of("counted", NAMES)
    CALLS.clear()

    found = [made(row) for row in asked]

    frame = pl.DataFrame(asked, schema=SCHEMA, orient="row")
    batch = Transform(f"{worked_out.__module__}.worked_out").apply(frame.lazy()).collect().select(NAMES)
    assert CALLS == []
    assert [bits(row) for row in found] == [bits(row) for row in batch.rows()]
    assert any("nothing" in bits(row) for row in found)


def test_threads_do_not_mix_their_rows():
    made, asked = of("counted", NAMES), rows(40)
    expected = [bits(made(row)) for row in asked]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: [bits(made(row)) for row in asked], range(8)))

    assert found == [expected] * 8


@pytest.mark.parametrize(
    ("function", "names", "problem"),
    [
        ("looking", ["price"], "looks at rows to make its plan"),
        ("moving", ["price", "at"], "makes another plan each time"),
        ("exact", ["price"], r"feature 'price' is Decimal"),
        ("counted", ["size"], "feature 'size' is None"),
    ],
)
def test_what_has_no_plan_of_its_own_says_why(function: str, names: list[str], problem: str):
    with pytest.raises(NotPlanned, match=problem):
        of(function, names)


def test_a_function_that_makes_several_rows_of_one_is_told():
    with pytest.raises(ValueError, match="2 rows became 4; right is one row of features for each row"):
        of("doubling", ["price"])((1.0, 2, "high"))
