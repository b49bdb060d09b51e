"""A features function that looks at other rows is refused, and the expression at fault is named."""

from itertools import count

import polars as pl
import pytest

from mlops_assets.features.row_local import NotRowLocal, check_row_local
from mlops_assets.features.transform import Transform, required_inputs

HERE = __name__


def ratio(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(
        "car", debt=pl.col("loan") / (pl.col("salary") + 1), old=pl.col("age") > 60, log=pl.col("loan").log1p()
    )


def centred(rows: pl.LazyFrame) -> pl.LazyFrame:
    rows = rows.with_columns(off=pl.col("loan") - pl.col("loan").mean(), double=pl.col("age") * 2)
    return rows.select("double", shifted=pl.col("off") + pl.col("double"))


def before(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("age").shift(1))


def popular(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(pl.len().over("car").alias("same, car"))


def filled(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(pl.col("salary").forward_fill())


def sorted_(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.sort("loan").select("loan", "age")


def joined(rows: pl.LazyFrame) -> pl.LazyFrame:
    means = rows.group_by("car").agg(mean=pl.col("loan").mean())
    return rows.join(means, on="car", maintain_order="left").select("age", "mean")


seen = count()


def unsteady(rows: pl.LazyFrame) -> pl.LazyFrame:
    """In order the first time, and whenever there are few rows: as a join without an order may be."""
    many = rows.select(pl.len()).collect().item() > 200
    return rows.reverse().select("age") if many and next(seen) % 4 else rows.select("age")


def positive(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("age") > 25).select("age")


def everything(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.all().cast(pl.String))


def eager(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.collect()


def test_an_order_that_is_right_only_now_and_then_is_refused(rows: pl.DataFrame):
    with pytest.raises(NotRowLocal, match=r"feature 'age', .* among 300 rows and .* the next time"):
        check_row_local(Transform(f"{HERE}.unsteady"), rows, seed=0)


@pytest.fixture
def rows() -> pl.DataFrame:
    """300 applicants: ages 20 to 79, three cars, every seventh salary missing."""
    at = pl.int_range(300, eager=True)
    return pl.DataFrame(
        {
            "age": 20 + at * 7 % 60,
            "car": ("make_" + (at * 5 % 3).cast(pl.String)),
            "loan": (at * 37 % 301).cast(pl.Float64),
            "salary": pl.select(pl.when(at % 7 > 0).then(at * 11 % 97)).to_series(),
        }
    )


@pytest.mark.parametrize("features", [f"{HERE}.ratio", f"{HERE}.everything", ("car", "loan", "salary")])
def test_expressions_of_one_row_pass(rows: pl.DataFrame, features: str | tuple[str, ...]):
    check_row_local(Transform(features), rows, seed=0)
    check_row_local(Transform(features), rows[:1], seed=0)
    check_row_local(Transform(features), rows[:0], seed=0)


@pytest.mark.parametrize(
    ("function", "feature", "fault"),
    [
        ("centred", "shifted", r'expression (col("loan") - col("loan").mean()).alias("off")'),
        ("before", "age", 'expression col("age").shift('),
        ("popular", "same, car", 'expression len().over([col("car")]).alias("same, car")'),
        ("filled", "salary", 'expression col("salary").fill_null_with_strategy'),
        ("sorted_", "loan", 'step SORT BY [col("loan")]'),
        ("joined", "mean", "step INNER JOIN"),
    ],
)
def test_the_expression_that_looks_at_other_rows_is_named(rows: pl.DataFrame, function: str, feature: str, fault: str):
    with pytest.raises(NotRowLocal) as refused:
        check_row_local(Transform(f"{HERE}.{function}"), rows, seed=0)

    assert f"{HERE}.{function} is not row-local: feature {feature!r}, {fault}" in str(refused.value)
    assert "among 300 rows and" in str(refused.value)


def test_a_function_that_drops_rows_is_refused(rows: pl.DataFrame):
    with pytest.raises(
        NotRowLocal, match=r"300 rows became \d+ at step FILTER .*; right is one row of features for each"
    ):
        check_row_local(Transform(f"{HERE}.positive"), rows, seed=0)


def test_features_are_numbers_with_nan_for_null_or_text(rows: pl.DataFrame):
    made = Transform(f"{HERE}.ratio").apply(rows.lazy()).collect()

    assert made.schema == {"car": pl.String, "debt": pl.Float64, "old": pl.Float64, "log": pl.Float64}
    assert made["debt"].null_count() == 0
    assert made["debt"].is_nan().sum() == 43  # every seventh of 300


@pytest.mark.parametrize(
    ("features", "inputs"),
    [
        (f"{HERE}.ratio", ["age", "car", "loan", "salary"]),
        (f"{HERE}.filled", ["salary"]),
        (f"{HERE}.joined", ["age", "car", "loan"]),
        (f"{HERE}.everything", ["age", "car", "loan", "salary"]),
        (("salary", "age"), ["salary", "age"]),
    ],
)
def test_the_inputs_are_the_columns_that_a_function_needs(
    rows: pl.DataFrame, features: str | tuple[str, ...], inputs: list[str]
):
    assert required_inputs(Transform(features), rows) == inputs


def test_what_is_no_feature_is_refused_by_name(rows: pl.DataFrame):
    at = rows.with_columns(at=pl.datetime(2026, 1, 1))

    with pytest.raises(TypeError, match=r"feature 'at' is Datetime.*; right is a number, bool or text"):
        Transform(("at",)).apply(at.lazy())
    with pytest.raises(
        LookupError, match=r"no column 'sallary' \(did you mean 'salary'\?\); columns: age, car, loan, salary"
    ):
        Transform(("sallary",)).apply(rows.lazy())
    with pytest.raises(TypeError, match=r"eager returned a DataFrame; right is the LazyFrame, without collect\(\)"):
        Transform(f"{HERE}.eager").apply(rows.lazy())
    with pytest.raises(LookupError, match=r"no function .*absent'"):
        Transform(f"{HERE}.absent")
