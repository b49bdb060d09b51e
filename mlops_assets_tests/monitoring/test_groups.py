"""The declared value, and groups beside each other: by hand, with what is too few to say."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from mlops_assets.monitoring.groups import Compared, compared
from mlops_assets.monitoring.shown import groups_table
from mlops_assets.monitoring.value import worth
from mlops_assets.parts import Value
from mlops_assets_tests.houses import HOUSES

PRICED = Value(true_positive=100, false_positive=-20, false_negative=-50, threshold=0.4)
NAN = float("nan")


def requests(**groups: tuple[int, float]) -> pl.DataFrame:
    """Rows of each street, and the share of them that is over the threshold of 0.5."""
    outputs = [0.9 if place < share * rows else 0.1 for rows, share in groups.values() for place in range(rows)]
    streets = [name for name, (rows, _) in groups.items() for _ in range(rows)]
    return pl.DataFrame({"input.street": streets, "output": outputs})


def streets(rows: pl.DataFrame, labels: list[float] | None = None) -> Compared:
    codes = np.array(labels) if labels else np.full(rows.height, NAN)
    return compared(rows, "street", codes, "binary", 0.5)


def test_the_value_of_a_window_is_what_each_outcome_is_worth_at_the_declared_threshold():
    labels, scores = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.3, 0.4, 0.1])

    found = worth(PRICED, labels, scores, rows=8, threshold=PRICED.threshold)

    assert found["value_total"].value == 100 - 50 - 20 + 0
    assert found["value_per_row"].value == 7.5
    assert found["value_per_row"].maturity == 0.5
    low, high = found["value_per_row"].low, found["value_per_row"].high
    assert low is not None
    assert high is not None
    assert low < 7.5 < high
    assert (found["value_total"].low, found["value_total"].high) == pytest.approx((4 * low, 4 * high))
    assert worth(PRICED, np.array([]), np.array([]), rows=8, threshold=0.4) == {}


def test_groups_are_compared_by_how_often_they_are_selected_also_before_any_label():
    found = streets(requests(high=(50, 0.8), mill=(40, 0.4)))

    assert [(group.name, group.rows, group.matured) for group in found.groups] == [("high", 50, 0), ("mill", 40, 0)]
    assert found.ratio == pytest.approx(0.5)
    assert (found.lowest, found.highest) == ("mill", "high")
    assert found.groups[0].accuracy is None


def test_rates_of_a_group_rest_on_its_labelled_rows():
    rows = requests(high=(100, 0.5))
    labels = [1.0] * 40 + [0.0] * 10 + [1.0] * 5 + [0.0] * 35 + [NAN] * 10

    [group] = streets(rows, labels).groups

    assert group.matured == 90
    assert group.true_positive is not None
    assert group.true_positive.value == pytest.approx(40 / 45)
    assert group.false_positive is not None
    assert group.false_positive.value == pytest.approx(10 / 45)
    assert group.accuracy is not None
    assert group.accuracy.value == pytest.approx(75 / 90)
    assert group.accuracy.maturity == 0.9


def test_a_small_group_says_too_few_and_does_not_count_in_the_ratio():
    found = streets(requests(high=(50, 0.8), low=(29, 0.0), mill=(40, 0.6)))

    assert [group.selected is None for group in found.groups] == [False, False, True]
    assert found.ratio == pytest.approx(0.75)
    assert "| low | 29 | 0 | too few | too few | too few | too few |" in groups_table(found)


def test_a_single_group_and_one_that_is_never_selected_have_no_ratio_or_none_above_zero():
    assert streets(requests(high=(50, 0.8))).ratio is None
    assert streets(requests(high=(50, 0.0), low=(50, 0.0))).ratio is None
    assert streets(requests(high=(50, 0.8), low=(50, 0.0))).ratio == 0


def test_missing_values_are_a_group_and_rare_ones_are_one_together():
    many = requests(**{f"street {place}": (40 - place, 1.0) for place in range(25)})
    rows = pl.concat([many, pl.DataFrame({"input.street": [None] * 60, "output": [0.1] * 60})], how="vertical_relaxed")

    found = streets(rows)

    assert [found.groups[0].name, found.groups[-1].name, len(found.groups)] == ["(missing)", "(others)", 21]
    assert sum(group.rows for group in found.groups) == rows.height


def test_a_column_that_no_request_has_is_said():
    found = compared(requests(high=(50, 1.0)), "town", np.full(50, NAN), "binary", 0.5)

    assert groups_table(found) == "the requests of this window have no column 'town'"


def test_several_classes_have_accuracy_by_group_only():
    rows = pl.DataFrame({"input.street": ["high"] * 40, "output": [2.0] * 40})

    [group] = compared(rows, "street", np.array([2.0] * 30 + [1.0] * 10), "multiclass", 0.5).groups

    assert group.accuracy is not None
    assert group.accuracy.value == 0.75
    assert group.selected is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"value": {"true_positive": 5}, "label": {"column": "x", "kind": "regression"}}, "a regression label has"),
        ({"value": {}}, "every amount is 0; right is the money of at least one outcome"),
        ({"value": {"true_positive": 5, "threshold": 1}}, "less than 1"),
        ({"value": {"true_positve": 5}}, "true_positve"),
        (
            {"groups": ["town"]},
            "no request has a column 'town'; requests have the features: price, rooms, street",
        ),
        ({"groups": ["street", "street"]}, "`groups` names 'street' twice"),
        (
            {"groups": ["street"], "label": {"column": "x", "kind": "regression"}},
            "rates of groups are of classes",
        ),
    ],
)
def test_a_declaration_that_cannot_be_kept_is_refused(changes: dict[str, object], problem: str):
    gate = {"gate": {"metric": "rmse", "floor": 1}} if "label" in changes else {}

    with pytest.raises(ValidationError, match=problem):
        HOUSES.model_validate(HOUSES.model_dump(mode="json") | gate | changes)
