"""Several judgements become one label; a tie is said to be one, not guessed."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_assets.annotations.aggregate import aggregate

RTE = Path(__file__).parents[2].parent / "shared" / "data" / "label_studio_rte" / "rte.standardized.tsv"


def judgements(*votes: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(votes, schema=["_key", "annotator", "label"], orient="row")


def test_the_majority_wins_where_annotators_cannot_be_told_apart():
    found = aggregate(judgements(("i", "ann", "yes"), ("i", "bob", "yes"), ("i", "cem", "no"), ("j", "ann", "no")))

    assert found.select("_key", "label", "tie").rows() == [("i", "yes", False), ("j", "no", False)]
    assert found["confidence"].to_list() == [pytest.approx(2 / 3), 1.0]
    assert json.loads(found["posterior"][0]) == {
        "no": pytest.approx(1 / 3, abs=1e-6),
        "yes": pytest.approx(2 / 3, abs=1e-6),
    }


def test_a_tie_has_no_label():
    found = aggregate(judgements(("i", "ann", "yes"), ("i", "bob", "no")))

    assert found.select("label", "confidence", "tie").rows() == [(None, 0.5, True)]


def test_two_careful_annotators_outweigh_three_who_guess():
    """Truth is the parity of the item; two are right nineteen times of twenty, three toss coins."""
    draw = np.random.default_rng(0)
    skills = {"ann": 0.95, "bob": 0.95, "cem": 0.5, "dot": 0.5, "eve": 0.5}
    votes = [
        (f"{item:03}", name, str(item % 2 if draw.random() < skill else 1 - item % 2))
        for item in range(300)
        for name, skill in skills.items()
    ]

    found = aggregate(judgements(*votes))

    by_majority = judgements(*votes).group_by("_key").agg(label=pl.col("label").mode().first())
    assert _accuracy(found) > 0.93
    assert _accuracy(by_majority) < 0.88


def test_crowd_judgements_come_as_near_to_gold_as_published():
    if not RTE.exists():
        pytest.skip(f"no {RTE}: 8,000 public judgements of textual entailment (Snow et al., 2008)")
    crowd = pl.read_csv(RTE, separator="\t", infer_schema=False)
    votes = crowd.select(_key="orig_id", annotator="!amt_worker_ids", label="response")

    found = aggregate(votes).join(crowd.select("gold", _key="orig_id").unique("_key"), on="_key")

    accuracy = found.select((pl.col("label") == pl.col("gold")).fill_null(False).mean()).item()
    assert accuracy == pytest.approx(0.9275, abs=0.003)


def _accuracy(found: pl.DataFrame) -> float:
    truth = (pl.col("_key").cast(pl.Int64) % 2).cast(pl.String)
    return found.select((pl.col("label") == truth).mean()).item()
