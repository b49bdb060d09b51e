"""Each row of a table is answered once: answers are kept, and only what is new or has changed is asked for."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_assets.serving.scoring.answering import BLOCK, Answerer, Scorer
from mlops_assets.serving.scoring.keeping import Keeping
from mlops_assets.serving.scoring.scored import Scored, no_scores, scored
from mlops_assets.training.fitting import Trained
from mlops_assets.training.model import ColumnSpec
from mlops_assets.training.predictor import Predictor
from mlops_assets.training.trainers import trainer_named
from mlops_assets.training.training_set import TrainingSet
from mlops_assets_tests.serving.loans import fitted

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
INPUTS = ["age", "salary", "job"]


def rows(*salaries: float, keys: str = "abcdef") -> pl.DataFrame:
    """Placed rows, a minute apart."""
    count = len(salaries)
    return pl.DataFrame(
        {
            "age": [30] * count,
            "salary": list(salaries),
            "job": ["nurse"] * count,
            "_time": pl.Series([NOON + timedelta(minutes="abcdef".index(k)) for k in keys[:count]]).cast(
                pl.Datetime("us", "UTC")
            ),
            "_key": list(keys[:count]),
            "_segment": ["eu"] * count,
        }
    )


def scorer(model: Trained, version: int, keeping: Keeping | None = None) -> Scorer:
    return Scorer(
        Answerer(
            product="loans",
            segment="eu",
            version=version,
            record=f"record-{version}",
            deployment="d",
            spec=model.spec,
            model=model.model_bytes,
            keeping=keeping or Keeping(),
        )
    )


def answered(found: Scored) -> dict[str, tuple[str, int]]:
    return {key: (id_, version) for key, id_, version in found.scores.select("key", "inference_id", "version").rows()}


@pytest.fixture
def morning(first: Trained) -> Scored:
    return scored(rows(1000.0, 2000.0, 3500.0), scorer(first, 1), no_scores(), [])


def test_answers_are_those_of_the_endpoint_to_the_last_bit(first: Trained, morning: Scored):
    endpoint = Predictor(first.spec, first.model_bytes)

    alone = [endpoint.one((30, salary, "nurse")).output for salary in (1000.0, 2000.0, 3500.0)]

    assert morning.scores["output"].to_list() == alone
    assert morning.scores["input.salary"].to_list() == morning.scores["feature.salary"].to_list()


def test_many_rows_are_answered_as_each_is_alone(first: Trained):
    table = rows(1500.0).drop("salary").join(pl.DataFrame({"salary": [float(x) for x in range(40_000)]}), how="cross")
    table = table.with_columns(_key=pl.col("salary").cast(pl.String))
    endpoint = Predictor(first.spec, first.model_bytes)

    found = scorer(first, 1).answers(table).rows

    assert found["inference_id"].n_unique() == 40_000
    for place in (0, 16_383, 16_384, 39_999):
        assert found["output"][place] == endpoint.one((30, float(place), "nurse")).output


def test_rows_that_come_late_are_answered_by_the_champion_of_then_and_no_answer_is_taken_back(
    first: Trained, second: Trained, morning: Scored
):
    old, new = scorer(first, 1), scorer(second, 2)

    found = scored(rows(1000.0, 2000.0, 3500.0, 4000.0), new, morning.scores, [old])

    assert {key: version for key, (_, version) in answered(found).items()} == {"a": 1, "b": 1, "c": 1, "d": 2}
    assert answered(found).items() >= answered(morning).items()
    assert found.kept == 3


def test_a_row_that_has_changed_is_answered_anew_and_its_answer_before_is_replaced(first: Trained, morning: Scored):
    one = scorer(first, 1)

    found = scored(rows(1000.0, 2999.0, 3500.0), one, morning.scores, [one])

    assert found.scores.height == 3
    assert [key for key in "abc" if answered(found)[key] != answered(morning)[key]] == ["b"]


def test_rows_that_are_no_longer_in_the_table_keep_their_answers(first: Trained, morning: Scored):
    one = scorer(first, 1)

    found = scored(rows(5000.0, keys="d"), one, morning.scores, [one])

    assert answered(found).items() > answered(morning).items()
    assert "d" in answered(found)


def test_a_row_that_is_in_the_table_twice_is_one_prediction(first: Trained):
    found = scored(rows(1000.0, 1000.0, keys="aa"), scorer(first, 1), no_scores(), [])

    assert found.scores.height == 1


def test_a_row_that_does_not_fit_is_told_of_beside_the_others_and_kept_as_it_was_read(first: Trained):
    table = rows(1000.0, 2000.0).with_columns(job=pl.Series(["nurse", "pilot"]), note=pl.Series(["x", "y"]))

    found = scored(table, scorer(first, 1), no_scores(), [])

    why = "job: found 'pilot'; right is one of 'clerk', 'nurse', 'smith'"
    assert found.scores.select("key", "version", "refused").rows() == [("a", 1, None), ("b", None, why)]
    assert found.set_aside.select("_reason", "job", "note", "salary").rows() == [(why, "pilot", "y", "2000.0")]


def test_a_row_that_fits_again_is_answered(first: Trained):
    one = scorer(first, 1)
    before = scored(rows(1000.0).with_columns(job=pl.lit("pilot")), one, no_scores(), [])

    found = scored(rows(1000.0), one, before.scores, [one])

    assert found.scores.select("key", "version", "refused").rows() == [("a", 1, None)]
    assert found.set_aside.height == 0


def test_a_class_is_named_beside_its_number():
    model = fitted(1, task="multiclass")

    found = scored(rows(1000.0, 4000.0), scorer(model, 1), no_scores(), [])

    assert [model.spec.classes[int(output)] for output in found.scores["output"]] == found.scores["class"].to_list()


def test_personal_columns_are_kept_as_the_log_keeps_them_and_rows_are_still_known_again(first: Trained):
    keeping = Keeping(personal={"salary": "hash", "id": "hash"}, secret=b"s" * 32, key_column="id")
    one = scorer(first, 1, keeping)
    table = rows(1000.0, 2000.0)

    before = scored(table, one, no_scores(), [])
    again = scored(table.with_columns(salary=pl.Series([1000.0, 9.0])), one, before.scores, [one])

    assert not {"input.salary", "feature.salary"} & set(before.scores.columns)
    assert "a" not in before.scores["key"].to_list()
    assert again.kept == 1
    assert again.scores.height == 2


@pytest.mark.parametrize(("kernels", "needs"), [("Haswell", "avx2"), ("SkylakeX", "avx512f")])
def test_a_networks_answers_are_replayed_to_the_last_bit_whatever_multiplies_its_matrices(kernels: str, needs: str):
    if needs not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip(f"this processor has no {needs}, which OpenBLAS needs for its {kernels} kernels")
    command = f"from {__name__} import network_is_replayed; network_is_replayed()"
    subprocess.run([sys.executable, "-c", command], env={**os.environ, "OPENBLAS_CORETYPE": kernels}, check=True)


def network_is_replayed() -> None:
    random = np.random.default_rng(0)
    names = [f"c{place}" for place in range(6)]
    learned = pl.DataFrame({name: random.normal(size=300) for name in names})
    inputs = {name: ColumnSpec(type="float") for name in names}
    data = TrainingSet(features=learned, labels=(learned["c0"] > 0).cast(int), task="binary", inputs=inputs)
    model = trainer_named("torch")(data, {"epochs": 1}, 1)
    table = learned.with_columns(rows(1.0).drop("age", "salary", "job")[[0] * 300])

    answers = scorer(model, 1).answers(table).rows["output"].to_list()

    endpoint = Predictor(model.spec, model.model_bytes)
    again = [{score.output for score in endpoint.many([values] * BLOCK)} for values in learned.iter_rows()]
    few = [scorer(model, 1).answers(table[at : at + 1]).rows["output"].item() for at in range(50)]
    assert all(answer in each for answer, each in zip(answers, again, strict=True))
    assert answers[:50] == few
