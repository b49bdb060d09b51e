"""What each feature adds sums to the score, in the unit that is named; what cannot be explained says so."""

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.training import gbdt
from mlops_assets.training.fitting import Trained
from mlops_assets.training.model import to_matrix
from mlops_assets.training.networks import network
from mlops_assets.training.networks.slopes import slopes_of
from mlops_assets.training.reasons.explaining import explainer
from mlops_assets.training.reasons.networks import TOLERANCE
from mlops_assets.training.reasons.reasons import NoReasons, Reasons
from mlops_assets.training.trainers import load_predictor
from mlops_assets.training.training_set import TrainingSet
from mlops_assets_tests.serving.loans import fitted
from mlops_assets_tests.training.networks import SMALL, bars

TASKS = ("binary", "multiclass", "regression")
TREES = {"num_iterations": 8, "min_data_in_leaf": 5}


def rows(count: int = 300) -> pl.DataFrame:
    """Two numbers and a category, a tenth of each missing."""
    random = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "size": random.normal(50, 20, count),
            "rooms": random.integers(1, 9, count).astype(float),
            "street": random.choice(["high", "low", "mill"], count),
        }
    )
    return frame.with_columns(
        pl.when(pl.Series(random.random(count) < 0.1)).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
    )


def labels(task: str, frame: pl.DataFrame) -> pl.Series:
    size = frame["size"].fill_null(50)
    found = {
        "binary": (size > 50).cast(int),
        "regression": 100 + 2 * size,
        "multiclass": (size / 40).floor().clip(0, 2),
    }
    return found[task].alias("label")


def assert_whole(why: Reasons) -> None:
    """Base and features sum to the score, but for a ten-thousandth of what all features add up and down."""
    parts = np.array(list(why.features.values()))
    assert abs(why.base + parts.sum() - why.score) <= 2 * TOLERANCE * np.abs(parts).sum() + 1e-9


def perceptron(task: str, epochs: int = 4) -> Trained:
    data = TrainingSet(features=rows(), labels=labels(task, rows()), task=task)
    return network.fit(data, {"epochs": epochs, "batch": 32, "width": 16}, 1)


@pytest.mark.parametrize("task", TASKS)
def test_reasons_of_trees_sum_to_the_score_that_is_answered(task):
    model = fitted(5, task=task)
    frame = pl.DataFrame({"age": [20, 40, 70], "salary": [None, 2500.0, 4000.0], "job": ["clerk", "nurse", None]})
    matrix = to_matrix(frame, model.spec)

    reasons = explainer(model.spec, model.model_bytes)(matrix)

    answers = load_predictor(model.spec, model.model_bytes)(matrix)
    for why, answer in zip(reasons, answers, strict=True):
        assert why.base + sum(why.features.values()) == pytest.approx(why.score, abs=1e-9)
        if task == "binary":
            assert (why.unit, 1 / (1 + np.exp(-why.score))) == ("log-odds", pytest.approx(answer, abs=1e-12))
        elif task == "regression":
            assert (why.unit, why.score) == ("label", pytest.approx(answer))
        else:
            assert (why.unit, why.of) == ("log-odds before the softmax", model.spec.classes[int(answer.argmax())])


def test_a_regression_with_a_logarithm_inside_says_so():
    frame = rows()
    data = TrainingSet(features=frame, labels=labels("regression", frame), task="regression")
    model = gbdt.fit(data, {**TREES, "objective": "poisson"}, 1)
    matrix = to_matrix(frame.head(5), model.spec)

    reasons = explainer(model.spec, model.model_bytes)(matrix)

    assert {why.unit for why in reasons} == {"logarithm of the label"}
    answers = load_predictor(model.spec, model.model_bytes)(matrix)
    assert np.exp([why.score for why in reasons]) == pytest.approx(answers)


@pytest.mark.parametrize("boosting", ["dart", "rf"])
def test_reasons_of_forests_and_dart_sum_to_their_score_too(boosting):
    frame = rows()
    params = {**TREES, "boosting": boosting, "bagging_fraction": 0.5, "bagging_freq": 1, "early_stopping_round": 0}
    model = gbdt.fit(TrainingSet(features=frame, labels=labels("binary", frame), task="binary"), params, 1)

    for why in explainer(model.spec, model.model_bytes)(to_matrix(frame.head(5), model.spec)):
        assert why.base + sum(why.features.values()) == pytest.approx(why.score, abs=1e-9)


def test_linear_leaves_have_no_reasons():
    frame = rows().with_columns(pl.col("street").fill_null("high")).drop("street")
    data = TrainingSet(features=frame, labels=labels("regression", frame), task="regression")
    model = gbdt.fit(data, {**TREES, "linear_tree": True}, 1)

    with pytest.raises(NoReasons, match=r"LightGBM: .*linear"):
        explainer(model.spec, model.model_bytes)(to_matrix(frame.head(2), model.spec))


@pytest.mark.parametrize("task", TASKS)
def test_reasons_of_a_network_sum_to_the_score_that_is_answered(task):
    model = perceptron(task)
    frame = rows().head(40)
    matrix = to_matrix(frame, model.spec)

    reasons = explainer(model.spec, model.model_bytes)(matrix)

    assert frame["size"].null_count() > 0 < frame["street"].null_count()
    answers = load_predictor(model.spec, model.model_bytes)(matrix)
    for why, answer in zip(reasons, answers, strict=True):
        assert_whole(why)
        if task == "binary":
            assert (why.unit, 1 / (1 + np.exp(-why.score))) == ("log-odds", pytest.approx(answer, abs=1e-6))
        elif task == "regression":
            assert (why.unit, why.score) == ("label", pytest.approx(answer))
        else:
            assert why.of == model.spec.classes[int(answer.argmax())]


def test_a_networks_reasons_name_what_it_learned_from():
    model = perceptron("binary", epochs=30)
    frame = rows().drop_nulls().head(40)

    reasons = explainer(model.spec, model.model_bytes)(to_matrix(frame, model.spec))

    size = [why.features["size"] for why in reasons]
    others = [abs(why.features["rooms"]) for why in reasons]
    assert np.corrcoef(size, frame["size"])[0, 1] > 0.9
    assert np.mean(np.abs(size)) > 2 * np.mean(others)


def test_reasons_of_images_are_those_of_their_pixels():
    images = bars()
    model = network.fit(images, {**SMALL, "epochs": 4, "shift": 0.0, "warp": 0.0}, 1)
    matrix = to_matrix(images.features.head(10), model.spec)

    reasons = explainer(model.spec, model.model_bytes)(matrix)

    for why, row in zip(reasons, matrix, strict=True):
        assert_whole(why)
        parts = np.array(list(why.features.values()))
        bright = row > 1.0
        assert np.abs(parts[bright]).mean() > np.abs(parts[~bright]).mean()


@pytest.mark.parametrize("kind", ["perceptron", "convolution"])
def test_the_gradients_are_those_of_torch(kind):
    import torch

    from mlops_assets.training.networks.forms import unpacked
    from mlops_assets.training.networks.kinds import form_of

    if kind == "perceptron":
        frame = rows().drop("street").drop_nulls()
        data = TrainingSet(features=frame, labels=labels("multiclass", frame), task="multiclass")
        model = network.fit(data, {"epochs": 2, "width": 8}, 1)
    else:
        data = bars()
        model = network.fit(data, {**SMALL, "epochs": 2}, 1)
    form, stored = form_of(model.spec.architecture), unpacked(model.model_bytes)
    slopes = slopes_of(model.spec, {name: value.astype(np.float64) for name, value in stored.items()})
    dense, codes = form.prepared(model.spec, stored, to_matrix(data.features.head(6), model.spec))

    _, found = slopes.gradients(slopes.points(dense, codes), 0)

    inputs = torch.tensor(dense, dtype=torch.float64).requires_grad_()
    weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in stored.items()}
    form.layers(model.spec.architecture, weights, inputs, None)[:, 0].sum().backward()
    assert found[:, : dense.shape[1]] == pytest.approx(inputs.grad.numpy(), abs=1e-12)


def test_a_trainer_of_the_users_own_has_no_reasons(first):
    spec = msgspec.structs.replace(first.spec, kind="mine.trainers.ridge")

    with pytest.raises(NoReasons, match=r"of the trainer mine.trainers.ridge; reasons are known of lightgbm and torch"):
        explainer(spec, first.model_bytes)


@pytest.fixture(scope="module")
def first() -> Trained:
    return fitted(1)
