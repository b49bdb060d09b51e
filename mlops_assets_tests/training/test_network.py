"""The trainer torch: what its networks learn, what they refuse, and what they say without torch."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load

from mlops_assets.training.fitting import Params
from mlops_assets.training.machine import Machine, Place
from mlops_assets.training.model import ModelSpec, to_matrix
from mlops_assets.training.networks import network
from mlops_assets.training.networks.convolution import CONVOLUTION
from mlops_assets.training.networks.perceptron import PERCEPTRON
from mlops_assets_tests.training.networks import IMAGE, SMALL, bars, digits

QUICK: Params = {**SMALL, "epochs": 3}


def test_a_convolution_reads_handwritten_digits_of_writers_it_never_saw():
    trained = network.fit(digits(), IMAGE, 0)

    assert trained.metrics["accuracy"] >= 0.97
    assert trained.spec.architecture == {
        **{"family": "convolution", "activation": "relu", "image": [8, 8, 1]},
        **{"filters": [32, 64], "layers": [128, 10]},
    }
    assert trained.params["network"] == "convolution"
    assert trained.params["device"] == "cpu"
    assert trained.gpu_s == 0


def test_the_history_has_a_value_per_epoch_and_the_best_epoch_is_kept():
    trained = network.fit(bars(), {**SMALL, "epochs": 12, "learning_rate": 0.05}, 0)

    losses = trained.history["validation_loss"]
    assert list(trained.history) == ["training_loss", "validation_loss", "validation_accuracy"]
    assert {len(values) for values in trained.history.values()} == {12}
    assert trained.params["best_epoch"] == losses.index(min(losses)) + 1
    assert trained.history["training_loss"][-1] < trained.history["training_loss"][0]
    assert trained.history["validation_accuracy"][losses.index(min(losses))] > 0.9


def test_the_history_of_a_regression_has_no_accuracy():
    data = bars(60)
    trained = network.fit(replace(data, labels=data.features["p0"] * 10 + 7, task="regression"), QUICK, 0)

    assert list(trained.history) == ["training_loss", "validation_loss"]


@pytest.mark.parametrize(
    ("size", "channels", "outputs"), [((8, 8), 1, 10), ((9, 7), 3, 2), ((28, 30), 2, 3), ((3, 5), 1, 4)]
)
def test_numpy_says_of_images_what_torch_says(size: tuple[int, int], channels: int, outputs: int):
    random = np.random.default_rng(1)
    names = [f"p{place}" for place in range(size[0] * size[1] * channels)]
    spec = ModelSpec(kind="torch", task="multiclass", classes=[str(each) for each in range(outputs)], features=names)
    params = {**CONVOLUTION.defaults, "height": size[0], "width": size[1], "channels": channels}
    architecture = CONVOLUTION.architecture(spec, params)
    tensors = {name: value + 0.1 for name, value in CONVOLUTION.start(spec, architecture, random).items()}
    dense = random.normal(size=(40, len(names))).astype(np.float32)
    dense[0, 0] = np.nan
    codes = np.empty((40, 0), dtype=np.int32)

    said = CONVOLUTION.forward(architecture, tensors, dense, codes)

    weights = {name: torch.tensor(value) for name, value in tensors.items()}
    expected = CONVOLUTION.layers(architecture, weights, torch.tensor(dense), None).numpy()
    np.testing.assert_allclose(said, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(CONVOLUTION.forward(architecture, tensors, dense[:1], codes[:1]), said[:1], rtol=1e-5)


def test_numpy_says_of_rows_what_torch_says():
    random = np.random.default_rng(1)
    spec = ModelSpec(kind="torch", task="binary", features=["a", "c", "b"], categories={"c": ["x", "y"]})
    architecture = PERCEPTRON.architecture(spec, PERCEPTRON.defaults)
    tensors = PERCEPTRON.start(spec, architecture, random)
    dense, codes = random.normal(size=(50, 2)).astype(np.float32), random.integers(0, 3, (50, 1)).astype(np.int32)
    dense[3, 1] = np.nan

    said = PERCEPTRON.forward(architecture, tensors, dense, codes)

    weights = {name: torch.tensor(value) for name, value in tensors.items()}
    expected = PERCEPTRON.layers(architecture, weights, torch.tensor(dense), torch.tensor(codes)).numpy()
    np.testing.assert_allclose(said, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [PERCEPTRON, CONVOLUTION])
def test_rows_are_standardised_by_what_is_known_of_them(form: object):
    assert form in (PERCEPTRON, CONVOLUTION)
    form = PERCEPTRON if form is PERCEPTRON else CONVOLUTION
    matrix = np.random.default_rng(2).normal(3.0, 5.0, (9000, 4))
    matrix[::3, 0], matrix[1, 1], matrix[:, 3] = np.nan, np.inf, 0.1
    spec = ModelSpec(kind="torch", task="binary", features=list("abcd"))
    params = {**form.defaults, "height": 1, "width": 1, "channels": 4}

    rows = network.Rows(matrix=matrix, labels=np.zeros(len(matrix)))
    tensors = form.standards(spec, form.architecture(spec, params), rows)
    dense, _ = form.prepared(spec, tensors, matrix)

    assert np.isnan(dense).sum(axis=0).tolist() == [3000, 1, 0, 0]
    np.testing.assert_allclose(np.nanmean(dense, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(dense, axis=0), [1, 1, 1, 0], atol=1e-5)


def test_an_image_is_varied_in_another_way_each_time_and_a_still_one_not_at_all():
    architecture = CONVOLUTION.architecture(
        ModelSpec(kind="torch", task="binary", features=["p"] * 64), {**IMAGE, **CONVOLUTION.defaults}
    )
    draw, vary = CONVOLUTION.draws, CONVOLUTION.varied
    assert draw
    assert vary
    images = torch.rand(5, 64)

    moved = torch.tensor([[0, 0, 0, 0, 1.0, 0]]).expand(5, 6)  # every image is read a pixel further right
    read = vary(architecture, images, moved).view(5, 8, 8)
    drawn = draw({"warp": 0.15, "shift": 1}, 5, np.random.default_rng(0))

    torch.testing.assert_close(read[:, :, :7], images.view(5, 8, 8)[:, :, 1:])
    torch.testing.assert_close(vary(architecture, images, torch.zeros(5, 6)), images)
    assert not torch.equal(vary(architecture, images, torch.from_numpy(drawn)), images)
    assert (np.abs(drawn).max(axis=0) <= [0.15] * 4 + [1.0] * 2).all()
    assert draw({"warp": 0, "shift": 0}, 5, np.random.default_rng(0)).shape == (5, 0)


def test_importance_is_where_the_image_tells_classes_apart():
    data = bars()
    flat = data.features.with_columns(pl.lit(0.0).alias(f"p{place}") for place in range(32, 64))

    trained = network.fit(replace(data, features=flat), {**SMALL, "epochs": 4}, 0)

    assert sum(trained.spec.importance[f"p{place}"] for place in range(32)) > 0.6


PROGRAM = """
from hashlib import sha256
from mlops_assets.training.networks import network
from mlops_assets_tests.training.networks import SMALL, bars
print(sha256(network.fit(bars(), {**SMALL, "epochs": 3}, 0).model_bytes).hexdigest())
"""


def test_another_process_makes_the_same_bytes():
    here = sha256(network.fit(bars(), QUICK, 0).model_bytes).hexdigest()

    there = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.strip()

    assert there == here
    assert sha256(network.fit(bars(), QUICK, 1).model_bytes).hexdigest() != here


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"network": "transformer"}, "no network 'transformer'; known networks: perceptron, convolution"),
        ({"filters": 8}, "a perceptron has no parameter 'filters'; known: network, batch, epochs"),
        ({"network": "convolution", "layers": 2}, "a convolution has no parameter 'layers'; known: network, batch"),
        ({"network": "convolution"}, "a convolution needs 'height'.*right is such as `params: {network: convolution"),
        ({**IMAGE, "width": 7}, "8 x 7 pixels of 1 channels are 56 numbers, but there are 64 features"),
        ({"epochs": "ten"}, "epochs is 'ten'; right is a whole number, 1 or more"),
        ({"batch": 0}, "batch is 0; right is a whole number, 1 or more"),
        ({"learning_rate": -1}, "learning_rate is -1; right is a number, 0 or more"),
        ({"learning_rate": 1e30}, "the loss is not finite after one epoch at learning_rate 1e"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(params: Params, problem: str):
    with pytest.raises(ValueError, match=problem):
        network.fit(bars(60), params, 0)


def test_text_is_no_pixel():
    data = bars(60)
    text = data.features.with_columns(p5=pl.lit("white"))

    with pytest.raises(ValueError, match="are 64 numbers, but feature 'p5' is text"):
        network.fit(replace(data, features=text), IMAGE, 0)


def test_an_infinite_number_is_learned_around_and_answered():
    data = bars(60)
    odd = data.features.with_columns(p0=pl.lit(float("inf")), p1=pl.when(pl.col("p1") > 0).then(pl.col("p1")))

    for params in (QUICK, {"epochs": 2}):
        trained = network.fit(replace(data, features=odd), params, 0)
        scores = network.load_predictor(trained.spec, trained.model_bytes)(to_matrix(odd, trained.spec))
        assert np.isfinite(scores).all()


def test_a_gpu_where_there_is_none_is_refused_or_done_without(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    data = replace(bars(60), machine=Machine(gpus=1))

    with pytest.raises(ValueError, match=r"`compute: {gpu: 1}` asks for 1 GPU, found 0; right is .*cpu_if_no_gpu"):
        network.fit(data, QUICK, 0)
    allowed = network.fit(replace(data, machine=Machine(gpus=1, cpu_if_no_gpu=True)), QUICK, 0)

    assert allowed.params["device"] == "cpu (asked for 1 GPU)"
    assert allowed.model_bytes == network.fit(bars(60), QUICK, 0).model_bytes


def memory_for(rows: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a batch of more than `rows` rows fail as it does on a GPU without memory for it."""
    whole = torch.nn.functional.linear

    def linear(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if len(values) > rows and weight.requires_grad and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(values, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    return monkeypatch.undo


def test_out_of_memory_half_the_batch_is_tried_once(monkeypatch: pytest.MonkeyPatch):
    undo = memory_for(32, monkeypatch)
    trained = network.fit(bars(), {**QUICK, "batch": 64}, 0)
    undo()

    assert trained.params["batch"] == 32
    assert trained.model_bytes == network.fit(bars(), {**QUICK, "batch": 32}, 0).model_bytes


def test_out_of_memory_twice_says_what_to_change(monkeypatch: pytest.MonkeyPatch):
    memory_for(20, monkeypatch)

    problem = r"out of memory on cpu with a batch of 64, then of 32; right is a smaller one \(`params: {batch: 16}`\)"
    with pytest.raises(ValueError, match=problem + ".*Tried to allocate 2.00 GiB"):
        network.fit(bars(), {**QUICK, "batch": 64}, 0)


def test_time_on_gpus_is_counted_for_each_of_them(monkeypatch: pytest.MonkeyPatch):
    real = network.descended
    monkeypatch.setattr(network, "placed", lambda machine, found: Place(device="cuda", processes=2))
    monkeypatch.setattr(network, "descended", lambda *given: real(*given[:4], Place(), given[5]))

    trained = network.fit(bars(60), QUICK, 0)

    assert trained.gpu_s > 0
    assert trained.params["device"] == "cuda x 2"


def test_the_model_is_tensors_by_name():
    trained = network.fit(bars(60), QUICK, 0)

    tensors = load(trained.model_bytes)

    assert tensors["filter.0"].shape == (4, 1, 3, 3)
    assert tensors["weight.0"].shape == (16, 8 * 4 * 4)
    assert {value.dtype for value in tensors.values()} == {np.dtype(np.float32)}
