"""The shipped world of loan applications: the published functions, and changes that are what they are called."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mlops_assets
from mlops_assets.catalogue import read_declaration
from mlops_assets.defs.loans.applications import CONCEPT, FUNCTIONS, HISTORY_START, Change, history, world
from mlops_assets.evidence.content import content_root
from mlops_assets.intake.declared import check_source
from mlops_assets.training.metrics import auc

DECLARATION = Path(mlops_assets.__file__).parent / "defs" / "loans" / "defs.yaml"
MONDAY = datetime(2026, 2, 9, tzinfo=UTC)
FEATURES = ("salary", "commission", "age", "elevel", "hvalue", "hyears", "loan")


def applicant(**what: float) -> pl.DataFrame:
    usual = {
        "salary": 60_000,
        "commission": 20_000,
        "age": 30,
        "elevel": 2,
        "hvalue": 500_000,
        "hyears": 10,
        "loan": 200_000,
    }
    return pl.DataFrame({**usual, **what})


@pytest.mark.parametrize(
    ("function", "inside", "outside"),
    [
        (1, [{"age": 39}, {"age": 60}], [{"age": 40}, {"age": 59}]),
        (
            2,
            [{"salary": 50_000}, {"salary": 100_000}, {"age": 40, "salary": 125_000}, {"age": 60, "salary": 25_000}],
            [{"salary": 49_999}, {"age": 59, "salary": 74_999}, {"age": 60, "salary": 75_001}],
        ),
        (
            3,
            [{"elevel": 1}, {"age": 40, "elevel": 3}, {"age": 60, "elevel": 4}],
            [{"elevel": 2}, {"age": 40, "elevel": 4}, {"age": 60, "elevel": 1}],
        ),
        (
            4,
            [
                {"elevel": 0, "salary": 25_000},
                {"elevel": 4, "salary": 100_000},
                {"age": 60, "elevel": 0, "salary": 75_000},
            ],
            [
                {"elevel": 0, "salary": 76_000},
                {"elevel": 4, "salary": 49_000},
                {"age": 50, "elevel": 0, "salary": 74_000},
            ],
        ),
        (
            5,
            [
                {"loan": 100_000},
                {"salary": 20_000, "loan": 400_000},
                {"age": 50, "loan": 300_000},
                {"age": 70, "loan": 500_000},
            ],
            [
                {"loan": 99_999},
                {"salary": 20_000, "loan": 199_999},
                {"age": 50, "loan": 299_999},
                {"age": 70, "loan": 1},
            ],
        ),
        (6, [{"salary": 30_000}, {"age": 40}], [{"salary": 29_000}, {"age": 60}]),
        (7, [{"salary": 70_000.1}], [{"salary": 70_000}]),
        (8, [{"salary": 25_000.1}], [{"salary": 25_000}]),
        (9, [{"salary": 70_000.1}], [{"salary": 70_000}]),
        (
            10,
            [{"salary": 1e4, "commission": 1.0, "hyears": 22}],
            [{"salary": 1e4, "commission": 1.0, "hyears": 20, "hvalue": 9e5}],
        ),
    ],
)
def test_group_a_is_as_published(function: int, inside: list[dict[str, float]], outside: list[dict[str, float]]):
    assert all(applicant(**one).select(FUNCTIONS[function]).item() for one in inside)
    assert not any(applicant(**one).select(FUNCTIONS[function]).item() for one in outside)


def test_attributes_are_drawn_as_published():
    frame = history().collect()

    low, high = frame.select(pl.exclude("car").min()), frame.select(pl.exclude("car").max())
    assert frame.height == 5 * 7 * 300 * 2
    assert (low["age"][0], high["age"][0]) == (20, 80)
    assert 20_000 <= low["salary"][0] < high["salary"][0] <= 150_000
    assert frame.filter((pl.col("salary") >= 75_000) != (pl.col("commission") == 0)).is_empty()
    assert (low["elevel"][0], high["elevel"][0], low["hyears"][0], high["hyears"][0]) == (0, 4, 1, 30)
    assert (frame["car"].n_unique(), frame["zipcode"].n_unique()) == (20, 9)
    assert 0.37 < frame["approved"].mean() < 0.41  # pyright: ignore[reportOperatorIssue]


def test_history_is_the_same_each_time():
    assert content_root(history().collect()) == content_root(history().collect())
    assert history().collect()["application_id"].is_unique().all()


def test_a_day_is_the_same_however_long_the_world_lasts():
    week, later = world(MONDAY, 2, 20)[140 * 2 :], world(MONDAY + timedelta(weeks=1), 1, 20)

    assert week.equals(later)


def test_a_change_of_function_changes_labels_only_from_its_time_and_in_its_region():
    at = MONDAY + timedelta(days=3)

    before, after = world(MONDAY, 1, 100), world(MONDAY, 1, 100, changes=[Change(at=at, region="north", function=5)])

    differ = after.filter(before["approved"] != after["approved"])
    assert after.drop("approved").equals(before.drop("approved"))
    assert set(differ["region"]) == {"north"}
    assert differ["applied_at"].min() >= at  # pyright: ignore[reportOperatorIssue]
    assert differ.height > 0.3 * 4 * 100
    assert abs(after["approved"].mean() - before["approved"].mean()) < 0.05  # pyright: ignore


@pytest.mark.parametrize(
    ("change", "column"), [(Change(at=MONDAY, age_shift=12), "age"), (Change(at=MONDAY, salary_factor=0.75), "salary")]
)
def test_a_change_of_the_applicants_shifts_their_mean_by_half_a_standard_deviation(change: Change, column: str):
    before, after = world(MONDAY, 1, 300)[column], world(MONDAY, 1, 300, changes=[change])[column]

    assert abs(after.mean() - before.mean()) / before.std() > 0.5  # pyright: ignore


def test_the_latest_change_holds():
    changes = [Change(at=MONDAY + timedelta(days=1), age_shift=5), Change(at=MONDAY, age_shift=20)]

    plain, frame = world(MONDAY, 1, 10)["age"], world(MONDAY, 1, 10, changes=changes)["age"]

    assert set(frame[:20] - plain[:20]) == {20}
    assert set(frame[20:] - plain[20:]) == {5}


def test_an_unknown_region_or_function_is_named():
    with pytest.raises(LookupError, match="no region 'east' to change; known: north, south"):
        world(MONDAY, 1, 1, changes=[Change(at=MONDAY, region="east", function=5)])
    with pytest.raises(LookupError, match="no function 11; known: 1 to 10"):
        world(MONDAY, 1, 1, changes=[Change(at=MONDAY, function=11)])


def test_a_model_fails_after_the_concept_drift_and_two_thousand_rows_teach_the_new_concept():
    new = 5
    old = world(HISTORY_START, 4, 300, ["north"])
    learnt, relearnt = _fit(old), _fit(world(MONDAY, 1, 300, ["north"], function=new))
    unchanged, drifted = (world(MONDAY + timedelta(weeks=1), 1, 300, ["north"], function=f) for f in (CONCEPT, new))

    assert _auc(learnt, unchanged) > 0.95
    assert _auc(learnt, drifted) < 0.6
    assert _auc(relearnt, drifted) > 0.95


def test_the_shipped_declaration_is_short_and_right(tmp_path: Path):
    product = read_declaration(DECLARATION)

    assert product is not None
    check_source(product, tmp_path)
    assert len(DECLARATION.read_text().splitlines()) < 20


def _fit(frame: pl.DataFrame) -> "object":
    import lightgbm

    data = lightgbm.Dataset(frame.select(FEATURES).to_numpy(), frame["approved"].to_numpy())
    return lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 2, "seed": 0}, data, 60)


def _auc(model: "object", frame: pl.DataFrame) -> float:
    scores = np.asarray(model.predict(frame.select(FEATURES).to_numpy()))  # pyright: ignore
    return float(auc(frame["approved"].to_numpy().astype(float), scores))
