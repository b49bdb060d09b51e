"""Of several classes the log holds every probability, so that losses of live answers are known."""

import math

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from mlops_assets.monitoring.performance import performance
from mlops_assets.serving.log.sealed import PROBABILITY, find
from mlops_assets.training.metrics import log_loss
from mlops_assets_tests.serving.loans import INFER, LOANS, ROW, deploy, fitted, route, running


@pytest.fixture(scope="module")
def several():
    return fitted(1, task="multiclass")


def test_the_log_holds_what_was_said_of_each_class(settings, several):
    deploy(settings, "d1", {"eu": route(settings, several, 1)})
    with running(settings) as endpoint:
        reply = endpoint.post(INFER, ROW)

    row = find(settings.serving("loans"), LOANS.grid, reply.body["inference_id"])

    assert row is not None
    said = {name: row[PROBABILITY + name].item() for name in several.spec.classes}
    assert said == reply.body["probabilities"]
    assert several.spec.classes[int(row["output"].item())] == reply.body["output"]
    assert math.isclose(sum(said.values()), 1)


def test_the_log_loss_of_live_answers_is_that_of_their_probabilities(several):
    classes, dice = several.spec.classes, np.random.default_rng(0)
    shares = dice.dirichlet(np.ones(len(classes)), 200)
    codes = dice.integers(0, len(classes), 200)
    rows = pl.DataFrame({PROBABILITY + name: shares[:, at] for at, name in enumerate(classes)}).with_columns(
        output=shares.argmax(axis=1).astype(float), label=pl.Series([classes[code] for code in codes])
    )
    early = rows.head(50).drop(cs.starts_with(PROBABILITY))  # from before they were logged

    found = performance(rows, several.spec).quality.metrics["log_loss"]
    partly = performance(pl.concat([early, rows.tail(150)], how="diagonal"), several.spec).quality.metrics["log_loss"]

    assert found.value == pytest.approx(float(log_loss(codes.astype(float), shares)))
    assert partly.value == pytest.approx(float(log_loss(codes[50:].astype(float), shares[50:])))
    assert (found.labels, partly.labels, partly.rows) == (200, 150, 200)
    assert "log_loss" not in performance(early, several.spec).quality.metrics
