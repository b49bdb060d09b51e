"""Labels of the source and reported outcomes become one label per item, with who said it and since when it is known."""

from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.annotations.labels import (
    label_table,
    labels_are_confident,
    labels_are_known,
    outcome_judgements,
    source_judgements,
)
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Gate

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def product(kind: str = "binary") -> ModelProduct:
    label = Label.model_validate({"column": "y", "delay": "2d", "kind": kind})
    gate = Gate(metric="rmse" if kind == "regression" else "accuracy", floor=0.5)
    return ModelProduct(name="p", source=Source(path="a"), label=label, features=("x",), gate=gate)


def source(*labels: str | None) -> pl.DataFrame:
    """Rows k0, k1, ... at noon of the fifth of January and the days after."""
    times = [NOON + at * DAY for at in range(len(labels))]
    keys = [f"k{at}" for at in range(len(labels))]
    return pl.DataFrame({"_key": keys, "_time": times, "y": pl.Series(labels, dtype=pl.String)})


def predictions() -> pl.DataFrame:
    return pl.DataFrame({"inference_id": ["i0", "i1"], "key": ["k0", None], "at": [NOON, NOON + DAY]})


def outcomes(*said: tuple[str, str, datetime]) -> pl.DataFrame:
    return pl.DataFrame(said, schema=["inference_id", "label", "received_at"], orient="row")


def test_a_label_of_the_source_is_known_after_its_delay():
    table = label_table([source_judgements(source("1.0", None, "0"), product())], product())

    assert table.select("_key", "label", "annotators", "annotator_count", "confidence", "posterior", "tie").rows() == [
        ("k0", "1", "source", 1, 1.0, '{"1": 1.0}', False),
        ("k2", "0", "source", 1, 1.0, '{"0": 1.0}', False),
    ]
    assert table["known_since"].to_list() == [NOON + 2 * DAY, NOON + 4 * DAY]


def test_an_outcome_labels_the_row_of_its_prediction_by_key_or_else_by_inference_id():
    said = outcomes(("i0", "1", NOON + DAY), ("i1", "0", NOON + 3 * DAY), ("i9", "0", NOON))

    table = label_table([outcome_judgements(said, predictions(), product())], product())

    assert table.select("_key", "label", "annotators", "event_time", "known_since").rows() == [
        ("i1", "0", "outcome", NOON + DAY, NOON + 3 * DAY),
        ("k0", "1", "outcome", NOON, NOON + DAY),
    ]


def test_a_corrected_outcome_replaces_the_one_before():
    said = outcomes(("i0", "1", NOON + 2 * DAY), ("i0", "0", NOON + DAY))

    table = label_table([outcome_judgements(said, predictions(), product())], product())

    assert table.select("label", "annotator_count", "known_since").rows() == [("1", 1, NOON + 2 * DAY)]


def test_source_and_outcome_that_agree_are_two_annotators_and_that_differ_are_a_tie():
    said = outcome_judgements(outcomes(("i0", "1", NOON + 9 * DAY)), predictions(), product())

    agreed = label_table([source_judgements(source("1"), product()), said], product())
    differ = label_table([source_judgements(source("0"), product()), said], product())

    columns = ("label", "annotators", "annotator_count", "confidence", "tie", "known_since")
    assert agreed.select(columns).rows() == [("1", "outcome,source", 2, 1.0, False, NOON + 9 * DAY)]
    assert differ.select(columns).rows() == [(None, "outcome,source", 2, 0.5, True, NOON + 9 * DAY)]


def test_numbers_are_labels_of_a_regression():
    judged = source_judgements(source("1.5", "NA", "3"), product("regression"))

    table = label_table([judged], product("regression"))

    assert table["label"].to_list() == [1.5, 3.0]
    assert labels_are_known(table, None).passed


def test_without_judgements_the_table_is_empty_and_typed():
    empty, full = label_table([], product()), label_table([source_judgements(source("1"), product())], product())

    assert empty.is_empty()
    assert empty.schema == full.schema


def test_a_label_outside_the_known_classes_is_named():
    table = label_table([source_judgements(source("1", "2", "0"), product())], product())

    check = labels_are_known(table, ["0", "1"])

    assert not check.passed
    assert (check.facts["unknown"], check.facts["found"]) == (1, ["2"])
    assert labels_are_known(table, ["0", "1", "2"]).passed


def test_many_ties_are_not_confident_labels():
    said = outcome_judgements(outcomes(("i0", "1", NOON)), predictions(), product())
    table = label_table([source_judgements(source("0", "1", "1", "1"), product()), said], product())

    check = labels_are_confident(table)

    assert not check.passed
    assert check.facts["confident_share"] == 0.75
    assert labels_are_confident(table, share=0.75).passed
    assert labels_are_confident(table.clear()).passed
