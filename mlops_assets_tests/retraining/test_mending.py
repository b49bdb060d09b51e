"""Whether a training would mend anything, from the labelled windows and the champion's own answers."""

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.operations.flow import step
from mlops_assets.parts import Retrain
from mlops_assets.product import Stage
from mlops_assets.retraining.decisions import decide
from mlops_assets.retraining.mending import relation
from mlops_assets_tests.backtest.conftest import make_features
from mlops_assets_tests.retraining.test_decisions import labelled, state
from mlops_assets_tests.tiny import DAY, START, Tiny, rows


def made(tiny: Tiny, *, turned: bool) -> tuple[Held, list[Held]]:
    """A model of the third day, and the features of the fourth, whose relation has turned round or not."""
    days = pl.concat([rows(START, 3, seed=1), rows(START + 3 * DAY, 1, turned=turned, seed=2)])
    days.write_csv(tiny.settings.root / "tiny.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    make_features(tiny)
    features = step(Stage.FEATURES, tiny.product, tiny.settings).make(f"all|{START + 3 * DAY:%Y-%m-%d}")
    return step(Stage.MODEL, tiny.product, tiny.settings).make(f"all|{START + 2 * DAY:%Y-%m-%d}"), [features]


def test_labelled_rows_like_those_it_learned_from_leave_nothing_to_mend(tiny_product: Tiny):
    champion, features = made(tiny_product, turned=False)

    verdict = relation(tiny_product.product, Archive(tiny_product.settings.home), champion, features)

    assert verdict is not None
    assert verdict.state == "ok"
    assert verdict.words.startswith("nothing to mend")


def test_a_relation_that_has_turned_round_is_worth_a_training(tiny_product: Tiny):
    champion, features = made(tiny_product, turned=True)

    verdict = relation(tiny_product.product, Archive(tiny_product.settings.home), champion, features)

    assert verdict is not None
    assert (verdict.state, verdict.kind) == ("drift", "concept")


@pytest.mark.parametrize(("mends", "retrain"), [(True, False), (False, True)])
def test_an_alarm_waits_while_a_training_would_mend_nothing_unless_told_otherwise(mends: bool, retrain: bool):
    idle = state(labelled=labelled(idle="nothing to mend: as good as it gets"))

    decision = decide(Retrain(mends=mends), idle)

    assert decision.retrain is retrain
    assert ("nothing to mend" in decision.reasons[0]) is not retrain
