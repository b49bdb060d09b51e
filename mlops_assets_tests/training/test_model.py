"""A model's spec and its matrix: what is unknown is NaN, what is wrong is named."""

import numpy as np
import polars as pl
import pytest

from mlops_assets.training.model import ColumnSpec, ModelSpec, decode_spec, encode_spec, label_codes, to_matrix


def spec(**changes: object) -> ModelSpec:
    """Two numbers around a category, in another order than the request's fields."""
    whole = {
        "kind": "lightgbm",
        "task": "binary",
        "classes": ["0", "1"],
        "inputs": {"z": ColumnSpec(type="float"), "a": ColumnSpec(type="str", isin=["x", "y"])},
        "features": ["a", "c", "b"],
        "categories": {"c": ["x", "y"]},
    }
    return ModelSpec(**{**whole, **changes})


def test_the_matrix_has_the_models_columns_in_its_order():
    frame = pl.DataFrame({"b": [True, None], "other": [9, 9], "c": ["y", "unseen"], "a": [1, 2]})

    matrix = to_matrix(frame, spec())

    np.testing.assert_array_equal(matrix, [[1, 1, 1], [2, np.nan, np.nan]])
    assert matrix.dtype == np.float64
    assert matrix.flags.c_contiguous


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ({"a": [1], "c": ["x"]}, "no feature 'b'; found: a, c"),
        ({"a": ["1"], "c": ["x"], "b": [1]}, "feature 'a' is text"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(frame: dict[str, list[object]], problem: str):
    with pytest.raises(ValueError, match=problem):
        to_matrix(pl.DataFrame(frame), spec())


def test_a_spec_keeps_its_order_in_json():
    read = decode_spec(encode_spec(spec()))

    assert read == spec()
    assert list(read.inputs) == ["z", "a"]


@pytest.mark.parametrize("labels", [[1, 0, None, 2], [1.0, 0.0, None, 2.0], ["1", "0", None, "2"]])
def test_labels_of_any_type_are_counted_alike(labels: list[object]):
    np.testing.assert_array_equal(label_codes(pl.Series(labels), spec()), [1, 0, np.nan, np.nan])


def test_the_label_of_a_regression_is_its_value():
    np.testing.assert_array_equal(
        label_codes(pl.Series([1.5, None]), spec(task="regression", classes=[])), [1.5, np.nan]
    )
