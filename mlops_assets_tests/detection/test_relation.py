"""The test of a relation: what a training would mend alarms; harder rows, noise and too little to tell do not."""

import numpy as np
import polars as pl

from mlops_assets.detection.loss import judge_loss
from mlops_assets.detection.relation import ALPHA, RelationEvidence, judge_relation
from mlops_assets.training.metrics import losses
from mlops_assets.training.reference import LossReference

Floats = np.ndarray
ROWS, DAYS = 1_200, 24
BLOCKS = [row * DAYS // ROWS for row in range(ROWS)]


def chance(inputs: pl.DataFrame, *, turned: float = 0.0) -> Floats:
    """The probability of the label; `turned` adds an effect that the model does not know."""
    logits = 1.5 * inputs["width"] - inputs["height"] + turned * (inputs["width"] * 0 + (inputs["kind"] == "a"))
    return (1 / (1 + np.exp(-logits.to_numpy()))).astype(np.float64)


def rows(seed: int, *, near: float = 1.0) -> pl.DataFrame:
    """Inputs; the nearer to 0 they are, the harder is the label to guess."""
    random = np.random.default_rng(seed)
    width, height = near * random.normal(size=(2, ROWS))
    return pl.DataFrame({"width": width, "height": height, "kind": random.choice(["a", "b", "c"], ROWS)})


def labels(chances: Floats, seed: int) -> Floats:
    return (np.random.default_rng(seed + 1_000).uniform(size=len(chances)) < chances).astype(np.float64)


def test_a_relation_that_holds_alarms_no_more_often_than_promised():
    alarms, carried = 0, None

    for seed in range(300):
        inputs = rows(seed)
        found = judge_relation(inputs, labels(chance(inputs), seed), chance(inputs), BLOCKS, "binary", carried=carried)
        alarms, carried = alarms + (found.verdict.state == "drift"), found.evidence

    assert found.verdict.promised == 2 * ALPHA
    assert alarms <= 3  # 0.6 expected


def test_harder_rows_are_no_drift_although_their_loss_is_higher():
    easy, hard = rows(0, near=2.0), rows(1, near=0.3)
    held_out = losses("binary", labels(chance(easy), 0), chance(easy))
    known = LossReference(mean=float(held_out.mean()), sd=float(held_out.std()), rows=ROWS)
    lost = losses("binary", labels(chance(hard), 1), chance(hard))

    found = judge_relation(hard, labels(chance(hard), 1), chance(hard), BLOCKS, "binary").verdict

    assert judge_loss(lost, ROWS, known).verdict.state == "drift"
    assert found.state == "ok"
    assert found.words.startswith("nothing to mend: corrected answers have")


def test_a_relation_that_changed_is_found_and_told():
    inputs = rows(2)

    found = judge_relation(inputs, labels(chance(inputs, turned=2.0), 2), chance(inputs), BLOCKS, "binary").verdict

    assert (found.state, found.kind, found.over) == ("drift", "concept", 1)
    assert found.columns[0].effect > 0.05
    assert found.words.startswith("concept drift: corrected answers have")


def test_what_one_window_cannot_show_two_do():
    alone, together = 0, 0

    for seed in range(40):
        carried: RelationEvidence | None = None
        for window in (seed, seed + 500):
            inputs = rows(window)
            changed = labels(chance(inputs, turned=0.9), window)
            found = judge_relation(inputs, changed, chance(inputs), BLOCKS, "binary", carried=carried)
            carried = found.evidence
        alone += found.verdict.state == "drift" and found.verdict.over == 1
        together += found.verdict.state == "drift" and found.verdict.over == 2

    assert together >= 5
    assert alone + together > 1.2 * alone


def test_a_number_is_mended_as_a_probability_is():
    inputs = rows(3).with_columns(pl.when(pl.col("width") > 1).then(None).otherwise(pl.col("width")).alias("width"))
    truth = inputs["height"].to_numpy()
    noisy = truth + np.random.default_rng(1_003).normal(size=ROWS)
    off = truth + 0.5 * (inputs["kind"] == "b").to_numpy()

    assert judge_relation(inputs, noisy, truth, BLOCKS, "regression").verdict.state == "ok"
    assert judge_relation(inputs, noisy, off, BLOCKS, "regression").verdict.state == "drift"


def test_a_window_of_one_day_is_cut_into_blocks():
    inputs = rows(4)

    found = judge_relation(inputs, labels(chance(inputs, turned=2.0), 4), chance(inputs), [7] * ROWS, "binary").verdict

    assert (found.state, found.windows) == ("drift", 20)


def test_too_few_rows_and_several_classes_cannot_be_told():
    inputs = rows(5).head(199)
    known = labels(chance(inputs), 5)

    few = judge_relation(inputs, known, chance(inputs), [0] * 199, "binary", carried=RelationEvidence(score=3.0))
    several = judge_relation(rows(5), np.zeros(ROWS), np.zeros(ROWS), BLOCKS, "multiclass")

    assert (few.verdict.state, few.verdict.words) == ("cannot tell", "cannot tell: 199 labelled rows, needs 200")
    assert few.evidence == RelationEvidence(score=3.0)
    assert several.verdict.state == "cannot tell"
