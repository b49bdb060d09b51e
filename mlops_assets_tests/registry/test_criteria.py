"""What a candidate has to meet beside floor and margin: each criterion passes what is right, and says what is wrong."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from mlops_assets.parts import Label, Source, Value
from mlops_assets.product import ModelProduct
from mlops_assets.registry.criteria.calibration import calibration, curve
from mlops_assets.registry.criteria.declared import CRITERIA, ONLINE, WAIVABLE, declared, measured
from mlops_assets.registry.criteria.robustness import robustness
from mlops_assets.registry.criteria.slices import slices
from mlops_assets.registry.criteria.values import parts
from mlops_assets.registry.criteria.worth import acts_from, amounts, worth
from mlops_assets.rules import Fairness, Gate, Robustness, Slices
from mlops_assets_tests.registry.subjects import first_column, noisy, subject

VALUE = Value(true_positive=100, false_positive=-40, true_negative=1, false_negative=-10)


def test_right_probabilities_are_not_said_to_be_wrong_however_few_rows_there_are():
    over = [calibration(subject(*noisy(rows, seed=seed)), 0.0).passed for rows in (40, 300) for seed in range(100)]

    assert np.mean(over) >= 0.95  # chance alone is beyond the limit in one of twenty at most


def test_wrong_probabilities_are_found_by_how_much_they_are_wrong():
    labels, scores = noisy(5_000)

    found = calibration(subject(labels, scores**2), 0.05)

    true = float(np.abs(scores - scores**2).mean())
    assert not found.passed
    assert found.facts["error"] == pytest.approx(true, abs=0.02)
    assert 0.05 < found.facts["lower"] < true
    assert "at most 0.05 is allowed" in found.words


def test_bins_of_a_calibration_curve_hold_all_rows_and_scores_that_are_alike_share_one():
    labels, scores = noisy(1_000)

    found, alike = curve(labels, scores), curve(labels, np.full(1_000, 0.5))

    assert found.rows.sum() == 1_000
    assert alike.rows.tolist() == [1_000]
    assert alike.error == pytest.approx(abs(labels.mean() - 0.5))


def test_of_several_classes_the_likeliest_one_is_looked_at():
    draw = np.random.default_rng(0)
    sure = np.column_stack([np.full(2_000, 0.8), np.full(2_000, 0.1), np.full(2_000, 0.1)])
    right = draw.choice(3, 2_000, p=[0.8, 0.1, 0.1]).astype(float)

    assert calibration(subject(right, sure, task="multiclass"), 0.01).passed
    assert not calibration(subject(draw.choice(3, 2_000).astype(float), sure, task="multiclass"), 0.1).passed


def test_outcomes_are_worth_what_is_declared_from_the_threshold_on():
    labels, scores = np.array([1.0, 1, 0, 0]), np.array([0.7, 0.69, 0.7, 0.1])

    assert amounts(VALUE, labels, scores, 0.7).tolist() == [100, -10, -40, 1]


@pytest.mark.parametrize(("least", "passed"), [(10.0, True), (60.0, False), (None, True)])
def test_a_row_has_to_be_worth_what_is_asked_for(least: float | None, passed: bool):
    found = worth(subject(*noisy(1_000, skill=2)), VALUE, least)

    assert found.passed is passed
    assert found.facts["lower"] < found.facts["per_row"] < found.facts["upper"]


def test_a_candidate_that_is_surely_worth_less_than_the_champion_does_not_pass():
    labels, good = noisy(2_000, skill=2)
    poor = np.random.default_rng(1).permutation(good)

    assert not worth(subject(labels, poor, champion=good), VALUE, None).passed
    assert "surely less" in worth(subject(labels, poor, champion=good), VALUE, None).words
    assert worth(subject(labels, good, champion=poor), VALUE, None).passed
    assert worth(subject(labels, good, champion=good), VALUE, None).passed


def test_each_model_is_worth_what_it_does_from_its_own_threshold_on():
    labels, scores = noisy(2_000)

    early, late = (worth(subject(labels, scores, threshold=each), VALUE, None).facts for each in (0.2, 0.9))

    assert early["per_row"] > late["per_row"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a", None, "b"], ["a", "unknown", "b"]),
        ([1, 2, None], ["1", "2", "unknown"]),
        ([1.0, float("nan"), 2.0], ["1", "unknown", "2"]),
        ([True, False, None], ["true", "false", "unknown"]),
    ],
)
def test_each_value_is_a_part_and_a_missing_one_is_unknown(values: list[object], names: list[str]):
    assert parts(pl.Series(values, strict=False)).to_list() == names


def test_many_numbers_are_cut_into_quarters():
    found = parts(pl.Series([*range(100), None]))

    assert sorted(found.value_counts().rows()) == [
        ("0 to 24.8", 25),
        ("24.8 to 49.5", 25),
        ("49.5 to 74.2", 25),
        ("74.2 to 99", 25),
        ("unknown", 1),
    ]


def test_a_part_of_the_rows_on_which_the_model_fails_is_named():
    labels, scores = noisy(2_000, skill=3)
    town = np.where(np.arange(2_000) % 4, "york", "bath")
    scores = np.where(town == "bath", np.random.default_rng(1).permutation(scores), scores)

    found = slices(subject(labels, scores, {"town": town}), Slices(columns=("town",)))

    assert not found.passed
    assert found.facts["failed"] == ["town 'bath'"]
    assert found.words.startswith("town 'bath': auc 0.48")


def test_chance_alone_fails_no_slice_among_many_small_ones():
    rule, told = Slices(columns=("street",), min_rows=20, drop=0.0), []
    for seed in range(40):
        labels, scores = noisy(2_000, seed=seed)
        streets = np.random.default_rng(seed).integers(0, 40, 2_000).astype(str)
        told.append(slices(subject(labels, scores, {"street": streets}), rule).passed)

    assert np.mean(told) >= 0.85


@pytest.mark.parametrize(
    ("metric", "task"), [("auc", "binary"), ("f1", "binary"), ("log_loss", "binary"), ("rmse", "regression")]
)
def test_slices_are_judged_by_the_gates_own_metric(metric: str, task):
    labels, scores = noisy(4_000, skill=3)
    half = np.where(np.arange(4_000) % 2, "a", "b")
    scores = np.where(half == "b", 1 - scores, scores)

    found = slices(subject(labels, scores, {"half": half}, task=task, metric=metric), Slices(columns=("half",)))

    assert found.facts["failed"] == ["half 'b'"]


def test_slices_that_are_too_small_are_named_and_where_all_are_nobody_can_tell():
    labels, scores = noisy(300)
    rule = Slices(columns=("town",), min_rows=100)
    most = np.array(["york"] * 260 + ["bath"] * 40)

    some = slices(subject(labels, scores, {"town": most}), rule)
    none = slices(subject(labels, scores, {"town": [f"t{row % 10}" for row in range(300)]}), rule)

    assert some.passed
    assert "Too small to judge: town 'bath' (40 rows)" in some.words
    assert not none.passed
    assert none.words.startswith("cannot tell: no slice has 100 rows")


def test_what_a_model_loses_with_each_damage_is_measured_and_the_worst_is_named():
    labels, scores = noisy(2_000, skill=3)
    held = subject(labels, scores, {"strong": scores, "idle": np.zeros(2_000)}, predict=first_column, metric="auc")
    every = Robustness(noise=0.5, nulls=0.2, lost_column=True, drop=0.1)

    found = robustness(held, every)
    spared = robustness(held, every.model_copy(update={"lost_column": False, "drop": 0.5}))

    assert not found.passed
    assert found.facts["failed"][0] == "'strong' lost"
    assert "with 'strong' lost auc is 0.5 instead of" in found.words
    assert {each["name"] for each in found.facts["damages"]} == {
        "noise of 0.5 sd",
        "20% of the values missing",
        "'strong' lost",
        "'idle' lost",
    }
    assert spared.passed


def test_damage_is_done_to_the_models_input_and_not_to_categories_nor_to_the_rows_themselves():
    labels, scores = noisy(500)
    seen: list[np.ndarray] = []
    held = subject(
        labels,
        scores,
        {"place": ["a", "b"] * 250, "size": np.arange(500.0)},
        predict=lambda matrix: (seen.append(matrix), scores)[1],
        categories={"place": ["a", "b"]},
    )

    robustness(held, Robustness(noise=1.0, nulls=0.1))

    noise, nulls = seen
    assert set(noise[:, 0].tolist()) == {0.0, 1.0}
    assert np.abs(noise[:, 1] - np.arange(500)).max() > 100
    assert np.isnan(nulls).mean() == pytest.approx(0.1, abs=0.03)
    assert held.matrix[:, 1].tolist() == list(range(500))


PRODUCT = ModelProduct(
    name="houses",
    source=Source(path="houses.csv"),
    label=Label(column="sold"),
    features=("price", "town"),
    value=VALUE,
    groups=("town",),
    gate=Gate(
        floor=0.5,
        calibration=0.05,
        latency="5ms",  # pyright: ignore[reportArgumentType]
        slices=Slices(columns=("no_such",)),
        robustness=Robustness(),
        fairness=Fairness(),
    ),
)


def test_each_declared_criterion_has_a_claim_and_one_that_cannot_be_measured_has_failed():
    labels, scores = noisy(400)
    at = datetime(2026, 1, 5, tzinfo=UTC)
    held = subject(labels, scores, {"price": scores, "town": ["bath", "york"] * 200})

    claims = {claim.name: claim for claim in measured(held, PRODUCT, "record", at)}

    assert tuple(claims) == declared(PRODUCT) == tuple(CRITERIA)
    assert all(claim.record == "record" and claim.at == at for claim in claims.values())
    assert not claims["slices"].passed
    assert claims["slices"].words == "cannot tell: LookupError: no column 'no_such'; known: price, town"
    assert not claims["latency"].passed  # its bytes are no model
    assert not claims[ONLINE].passed
    assert claims["calibration"].passed


def test_a_product_that_declares_nothing_has_its_features_compared_all_the_same():
    bare = ModelProduct(name="h", source=Source(path="h.csv"), label=Label(column="y"), features=("a",))

    assert declared(bare) == (ONLINE,)
    assert ONLINE not in WAIVABLE
    assert timedelta(milliseconds=5) == PRODUCT.gate.latency


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gate": {"floor": 1, "value": 5}}, "declare `value:` too"),
        ({"gate": {"floor": 1, "fairness": {}}}, "no groups to compare; list the columns in `groups:`"),
        (
            {
                "label": {"column": "y", "kind": "regression"},
                "gate": {"metric": "rmse", "floor": 1, "calibration": 0.1},
            },
            "gate.calibration: it is of probabilities",
        ),
        ({"gate": {"floor": 1, "slices": {"columns": []}}}, "at least 1 item"),
        ({"gate": {"floor": 1, "latency": "soon"}}, "is no duration"),
    ],
)
def test_a_criterion_that_could_not_be_measured_is_refused_when_it_is_declared(changes: dict[str, object], said: str):
    declared = {"name": "h", "source": {"path": "h.csv"}, "label": {"column": "y"}, "features": ["a"], **changes}

    with pytest.raises(ValidationError, match=said):
        ModelProduct.model_validate(declared)


@pytest.mark.parametrize(
    ("own", "value", "from_"),
    [(0.7, VALUE, 0.7), (None, Value(true_positive=1, threshold=0.3), 0.3), (None, None, 0.5)],
)
def test_a_row_is_acted_on_from_the_models_own_threshold_else_from_that_of_its_value(
    own: float | None, value: Value | None, from_: float
):
    assert acts_from(own, value) == from_
