"""A window of the table becomes a record of scores, and a part of the sealed predictions, each row once."""

import shutil
from dataclasses import replace
from typing import Literal

import polars as pl
import pytest

from mlops_assets.endpoint import Endpoint
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import NotReady
from mlops_assets.lineage.predictions import recent
from mlops_assets.lineage.replay import replay
from mlops_assets.lineage.trace import trace
from mlops_assets.serving.log.ids import parse
from mlops_assets.serving.log.index import canonical
from mlops_assets_tests.intact import assert_intact
from mlops_assets_tests.serving.scoring.batch import day, facts, head, predictions, score, scores, seal, write
from mlops_assets_tests.tiny import NAME, Tiny


def test_a_window_that_is_scored_again_from_the_same_rows_is_skipped(tiny: Tiny):
    write(tiny, day(4))
    first = score(tiny)

    again = score(tiny)

    assert again.skipped
    assert again.id == first.id


def test_scores_made_anew_are_the_same_rows_under_the_same_ids(tiny: Tiny):
    write(tiny, day(4))
    score(tiny)
    before = scores(tiny)
    for lost in ("recipes", f"heads/{NAME}/scores"):  # as if a run had been killed before it wrote them
        shutil.rmtree(tiny.settings.home / lost)

    assert not score(tiny).skipped
    assert scores(tiny).equals(before)


def test_rows_that_come_late_are_sealed_anew_and_an_answer_that_was_replaced_is_still_found(tiny: Tiny):
    write(tiny, day(4)[:150])
    score(tiny)
    early, sealed = scores(tiny), seal(tiny)
    write(tiny, day(4).with_columns(width=pl.when(pl.col("id") == "0104-7").then(0.5).otherwise("width")))

    score(tiny)
    seal(tiny)

    told = facts(tiny, "scores")
    assert (told["answered"], told["answered_before"], scores(tiny).height) == (51, 149, 200)
    assert facts(tiny, "predictions")["predecessor"] == sealed.id
    assert set(predictions(tiny)["inference_id"]) == set(scores(tiny)["inference_id"])
    [replaced] = set(early["inference_id"]) - set(scores(tiny)["inference_id"])
    proof = trace(tiny.settings, replaced, budget_s=None)
    assert (proof.exit_code, proof.prediction and proof.prediction.key) == (0, "0104-7")
    assert replay(tiny.settings, replaced).equal
    assert_intact(tiny.settings, tiny.product)


def test_scores_are_shown_and_proven_before_their_window_is_sealed(tiny: Tiny):
    write(tiny, day(4))
    score(tiny)

    shown = recent(tiny.settings, NAME, last=300, since=None)

    assert {row["inference_id"] for row in shown} == set(scores(tiny)["inference_id"])
    proof = trace(tiny.settings, str(shown[0]["inference_id"]), budget_s=None)
    assert proof.exit_code == 0
    assert {each.asset for each in proof.data} >= {"tiny/table", "tiny/scores"}
    assert replay(tiny.settings, str(shown[0]["inference_id"])).equal


def test_rows_that_do_not_fit_are_set_aside_counted_and_told_of_and_the_others_go_on(tiny: Tiny):
    tall = pl.when(pl.col("id") == "0104-3").then(pl.lit("tall")).otherwise("width")
    write(tiny, day(4).with_columns(width=tall))

    score(tiny)
    seal(tiny)

    why = "width: found 'tall'; right is a number"
    [fits] = [check for check in head(tiny, "scores").record.checks if check.name == "rows_fit"]
    assert (fits.passed, fits.facts["set_aside"], fits.facts["reasons"]) == (False, 1, {why: 1})
    aside = Archive(tiny.settings.home).table(head(tiny, "scores"), "set_aside")
    assert aside.select("_reason", "id", "width").rows() == [(why, "0104-3", "tall")]
    assert scores(tiny).filter(pl.col("refused").is_not_null()).select("key", "refused").rows() == [("0104-3", why)]
    assert predictions(tiny).height == 199


@pytest.mark.parametrize("how", ["hash", "omit"])
def test_what_does_not_fit_a_personal_column_is_not_kept_with_the_scores(tiny: Tiny, how: Literal["hash", "omit"]):
    personal = tiny.product.model_copy(update={"endpoint": Endpoint(personal={"width": how, "id": how})})
    hidden = replace(tiny, product=personal)
    tall = pl.when(pl.col("id") == "0104-3").then(pl.lit("tall")).otherwise("width")
    write(hidden, day(4).with_columns(width=tall))

    held = score(hidden)
    seal(hidden)

    why = "width: found a value that does not fit; right is a number"
    [fits] = [check for check in held.record.checks if check.name == "rows_fit"]
    assert fits.facts["reasons"] == {why: 1}
    archive = Archive(tiny.settings.home)
    aside, refused = archive.table(held, "set_aside"), scores(hidden).filter(pl.col("refused").is_not_null())
    assert (aside["_reason"].to_list(), refused["refused"].to_list()) == ([why], [why])
    assert not {"width", "id"} & {*aside.columns, *refused.columns}
    everything = [held.record, aside.rows(), scores(hidden).rows(), predictions(hidden).rows()]
    assert not [word for word in ("tall", "0104-3") if word in repr(everything)]
    assert refused["key"].null_count() == (how == "omit")


def test_a_column_that_the_champion_reads_is_missed_by_name_and_nothing_is_scored(tiny: Tiny):
    write(tiny, day(4).rename({"width": "with"}))

    with pytest.raises(NotReady, match=r"no column 'width' \(did you mean 'with'\?\), which the champion reads"):
        score(tiny)


def test_a_window_without_rows_is_scored_with_none(tiny: Tiny):
    write(tiny, day(5))

    assert score(tiny).record.facts["rows"] == 0
    assert seal(tiny).record.facts["rows"] == 0


def test_the_endpoint_takes_outcomes_of_scored_ids(tiny: Tiny):
    write(tiny, day(4))
    score(tiny)
    [known, unknown] = [scores(tiny)["inference_id"][0], "018cd1c5-0800-7000-8000-000000000000"]

    asked = [parse(known), parse(unknown), parse(f"{known}.1")]
    names = canonical(tiny.settings.serving(NAME), tiny.product.grid, asked)

    assert list(names.values()) == [known, None, None]
