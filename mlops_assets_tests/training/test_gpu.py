"""What needs a GPU: the same code trains there, feeds it without waiting, and is as fast as a bare loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.torch_gpu_vs_bare import AIM, figures, measure
from mlops_assets.training.machine import Machine
from mlops_assets.training.networks import network
from mlops_assets.training.networks.descent import descend
from mlops_assets.training.networks.kinds import form_of
from mlops_assets_tests.training.networks import IMAGE, course, digits

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and there is none here")


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_learns_to_read_digits_and_its_time_is_counted():
    trained = network.fit(replace(digits(), machine=Machine(gpus=1)), IMAGE, 0)

    assert trained.metrics["accuracy"] >= 0.97
    assert trained.params["device"] == "cuda"
    assert trained.gpu_s > 0


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_learns_the_same_from_rows_that_are_copied_to_it_batch_by_batch():
    asked, start, rows, validation = course()
    form = form_of(asked.architecture)

    near, far = (
        descend(asked, form, start, rows, validation, device="cuda", resident=resident) for resident in (True, False)
    )

    np.testing.assert_allclose(far.history["validation_loss"], near.history["validation_loss"], rtol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_is_busy_and_as_fast_as_in_a_bare_loop():
    rate, busy = measure()

    assert rate.ratio is not None
    assert rate.ratio >= AIM
    assert 0 < busy.figure <= 1


def test_the_figure_is_measured_by_code_that_runs_on_a_cpu_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.torch_gpu_vs_bare.ROUNDS", 1)

    [rate] = figures("cpu", 24, 1)

    assert rate.figure > 0
    assert rate.beside_figure


def test_without_a_gpu_there_is_no_figure_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert measure() == []
    assert "no GPU here" in capsys.readouterr().out
