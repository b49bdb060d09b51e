"""Rows of the source and served rows are joined with their labels; what has none is counted."""

from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.dataset.join import join_labels, source_rows, with_served
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Gate

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRODUCT = ModelProduct(
    name="p",
    source=Source(path="a", key="id", subject="person"),
    label=Label(column="y"),
    features=("x",),
    gate=Gate(floor=0.5),
)


def source(*keys: str) -> pl.DataFrame:
    typed = pl.DataFrame(
        {
            "id": keys,
            "person": ["somebody"] * len(keys),
            "x": pl.Series([1.0] * len(keys), dtype=pl.Float64),
            "note": pl.Series(["kept"] * len(keys), dtype=pl.String),
            "y": ["1"] * len(keys),
            "_key": pl.Series(keys, dtype=pl.String),
            "_time": pl.Series([NOON + at * HOUR for at in range(len(keys))], dtype=pl.Datetime("us", "UTC")),
            "_segment": pl.Series(["all"] * len(keys), dtype=pl.String),
        }
    )
    return source_rows(typed, PRODUCT)


def served(*requests: tuple[str, str | None, datetime, float]) -> pl.DataFrame:
    schema = ["inference_id", "key", "at", "input.x"]
    return pl.DataFrame(requests, schema=schema, orient="row").with_columns(segment=pl.lit("all"), output=pl.lit(0.5))


def labels(**known: tuple[str | None, datetime]) -> pl.DataFrame:
    rows = [(key, label, since) for key, (label, since) in known.items()]
    return pl.DataFrame(
        rows, schema={"_key": pl.String, "label": pl.String, "known_since": pl.Datetime("us", "UTC")}, orient="row"
    )


def test_subject_key_and_label_are_no_part_of_the_rows():
    assert source("a").columns == ["_key", "_time", "_segment", "_origin", "x", "note"]


def test_served_rows_are_added_and_the_source_wins():
    rows = with_served(source("a"), served(("i1", "a", NOON, 9.0), ("i2", None, NOON - HOUR, 2.0)))

    assert rows.select("_key", "_origin", "x", "note").rows() == [
        ("i2", "served", 2.0, None),
        ("a", "source", 1.0, "kept"),
    ]


def test_of_several_predictions_for_a_key_the_last_counts():
    rows = with_served(source(), served(("i1", "b", NOON, 1.0), ("i3", "b", NOON + HOUR, 3.0), ("i2", "b", NOON, 2.0)))

    assert rows.select("_key", "_time", "x").rows() == [("b", NOON + HOUR, 3.0)]


def test_labelled_rows_are_kept_in_order_and_the_others_counted():
    known = labels(c=("1", NOON + 5 * HOUR), a=("0", NOON + 9 * HOUR), b=(None, NOON + 99 * HOUR), z=("1", NOON))

    joined = join_labels(source("a", "b", "c", "d"), known)

    assert joined.rows.select("_key", "_label").rows() == [("a", "0"), ("c", "1")]
    assert (joined.labelled, joined.unlabelled, joined.tied) == (2, 1, 1)
    assert joined.as_of == NOON + 9 * HOUR


def test_without_labels_there_is_no_as_of():
    joined = join_labels(source("a"), labels())

    assert joined.rows.is_empty()
    assert (joined.as_of, joined.unlabelled) == (None, 1)
