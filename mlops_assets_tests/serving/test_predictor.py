"""The fast path says what the offline model says, bit for bit, from any thread."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import msgspec
import polars as pl
import pytest

from mlops_assets.serving.routing.probes import probes
from mlops_assets.training.model import ColumnSpec, to_matrix
from mlops_assets.training.predictor import NotEqual, Predictor
from mlops_assets.training.trainers import load_predictor
from mlops_assets_tests.serving.loans import fitted

ROWS = list(product((18, 40, 70), (None, 1000.0, 2500.0, 4000.0), ("clerk", "nurse", "smith")))


def halves(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Features of a function: two that it computes, one that it passes on."""
    return frame.select(pl.col("salary") / 2, young=pl.col("age") < 30, job=pl.col("job"))


def summed(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A function that looks at other rows."""
    return frame.select("age", pl.col("salary").sum(), "job")


def offline(model, rows):
    frame = pl.DataFrame(rows, schema={"age": pl.Int64, "salary": pl.Float64, "job": pl.String}, orient="row")
    return load_predictor(model.spec, model.model_bytes)(to_matrix(frame, model.spec))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_one_row_and_many_are_scored_as_offline(task):
    model = fitted(3, task=task)
    predictor = Predictor(model.spec, model.model_bytes)

    alone = [predictor.one(row) for row in ROWS]
    together = predictor.many(ROWS)

    expected = offline(model, ROWS)
    if task == "multiclass":
        assert [list(score.probabilities) for score in alone] == expected.tolist()
        assert [score.output for score in alone] == expected.argmax(axis=1).tolist()
    else:
        assert [score.output for score in alone] == expected.tolist()
    assert together == alone
    assert len({score.output for score in alone}) > 2


def test_an_unseen_category_is_a_missing_value(first):
    predictor = Predictor(first.spec, first.model_bytes)

    scores = [predictor.one((40, 2500.0, "pilot")).output, predictor.many([(40, 2500.0, "pilot")])[0].output]

    assert scores == offline(first, [(40, 2500.0, "pilot")]).tolist() * 2


def test_threads_do_not_mix_their_rows(first):
    predictor = Predictor(first.spec, first.model_bytes)
    expected = [predictor.one(row).output for row in ROWS]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [predictor.one(row).output for row in ROWS], range(40)))

    assert found == [expected] * 40


def test_a_features_function_runs_in_the_endpoint_and_its_features_are_kept(first):
    path = f"{__name__}.halves"
    features = ["salary", "young", "job"]
    spec = msgspec.structs.replace(first.spec, transform=path, features=features)
    predictor = Predictor(spec, first.model_bytes)

    score = predictor.one((25, 3000.0, "smith"))

    assert score.features == (1500.0, 1.0, "smith")
    assert score == predictor.many([(25, 3000.0, "smith"), (40, None, "nurse")])[0]


def test_a_fast_path_that_differs_is_given_up_for_the_offline_model(first, second, caplog):
    predictor = Predictor(first.spec, first.model_bytes)
    other = Predictor(second.spec, second.model_bytes)
    expected = offline(first, ROWS).tolist()
    predictor._one = other._one
    assert [predictor.one(row).output for row in ROWS] != expected

    predictor.check(probes(first.spec))

    assert [predictor.one(row).output for row in ROWS] == expected
    assert "single rows are scored the offline model's way, which is slower: the endpoint answers" in caplog.text


def broken(*arguments: object) -> int:
    """A C function that another LightGBM has: it takes the call, and says that it failed."""
    return -1


@pytest.mark.parametrize("missing", [True, False])
def test_without_lightgbms_fast_function_rows_are_scored_all_the_same(first, missing, monkeypatch, caplog):
    from lightgbm import basic

    class Library:
        """LightGBM's library without the functions for single rows, or with others of their names."""

        def __getattr__(self, name: str) -> object:
            if "SingleRowFast" not in name:
                return getattr(whole, name)
            if missing:
                raise AttributeError(f"undefined symbol: {name}")
            return broken

    whole = basic._LIB
    monkeypatch.setattr(basic, "_LIB", Library())
    predictor = Predictor(first.spec, first.model_bytes)

    predictor.check(probes(first.spec))

    assert [predictor.one(row).output for row in ROWS] == offline(first, ROWS).tolist()
    assert "single rows are scored by Booster.predict, which is slower" in caplog.text


def test_a_model_that_answers_otherwise_than_offline_is_refused(first, second):
    predictor = Predictor(first.spec, first.model_bytes)
    predictor.check(probes(first.spec))

    predictor.many = Predictor(second.spec, second.model_bytes).many

    with pytest.raises(NotEqual, match=r"the endpoint answers .* where the offline model says .* for {'age'"):
        predictor.check(probes(first.spec))


def test_a_plain_column_list_never_meets_polars(first, monkeypatch):
    predictor = Predictor(first.spec, first.model_bytes)
    expected = offline(first, ROWS).tolist()
    for name in ("DataFrame", "LazyFrame", "Series"):
        monkeypatch.setattr(pl, name, None)

    alone = [predictor.one(row).output for row in ROWS]

    assert alone == [score.output for score in predictor.many(ROWS)] == expected


def test_a_function_that_looks_at_other_rows_is_refused(first):
    spec = msgspec.structs.replace(first.spec, transform=f"{__name__}.summed")

    with pytest.raises(NotEqual):
        Predictor(spec, first.model_bytes).check(ROWS)


def test_a_feature_that_no_request_has_is_refused(first):
    spec = msgspec.structs.replace(first.spec, inputs={"age": ColumnSpec(type="int")})

    with pytest.raises(LookupError, match="feature 'salary' is no input; known: age"):
        Predictor(spec, first.model_bytes)
