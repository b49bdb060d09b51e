"""What the gate measures of a real candidate, from the archive: criteria, waivers, thresholds, classes, pictures."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.parts import Value
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.registry.assets import champion_asset
from mlops_assets.registry.criteria import declared as criteria
from mlops_assets.registry.criteria import online
from mlops_assets.registry.criteria.declared import CRITERIA, ONLINE, declared
from mlops_assets.registry.gate import Waiver
from mlops_assets.registry.pictured import PICTURED, Pictured
from mlops_assets.registry.scored import claims_of, evidence_of, judged, known_rows
from mlops_assets.registry.shown import pictures
from mlops_assets.registry.step import ChampionStep
from mlops_assets.rules import Decide, Fairness, Gate, Robustness, Slices, Trainer
from mlops_assets.settings import Settings, exports
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor, Score
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, TREES, WEEKS, deployment, make, registered, sales

FIRST, SECOND = (f"bath|{week}" for week in WEEKS[:2])
PLAIN = HOUSES.model_copy(update={"trainer": Trainer(windows=1, params=dict(TREES))})
EVERY = PLAIN.model_copy(
    update={
        "decide": Decide(threshold=0.6),
        "value": Value(true_positive=10, false_positive=-5, threshold=0.3),
        "groups": ("street",),
        "gate": Gate(
            floor=0.6,
            calibration=0.3,
            latency=timedelta(seconds=1),
            value=0.0,
            slices=Slices(columns=("street", "rooms"), min_rows=10, drop=0.4),
            robustness=Robustness(drop=0.4),
            fairness=Fairness(min_rows=10, ratio=0.0, equalized_odds=1.0),
        ),
    }
)


def apart(houses: pl.LazyFrame) -> pl.LazyFrame:
    return houses.select(per_room=pl.col("price") / pl.col("rooms"), price=pl.col("price"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weeks of Bath with 300 houses each."""
    return deployment(tmp_path, sales(2, rows=300).filter(pl.col("town") == "bath"))


def candidate(settings: Settings, partition: str, product: ModelProduct = EVERY) -> Held:
    held = make(settings, product, partition, *DATA, Stage.MODEL)[Stage.MODEL]
    registered(settings, held, 1 + WEEKS.index(partition[-10:]))
    return held


def step(settings: Settings, product: ModelProduct = EVERY) -> ChampionStep:
    return ChampionStep(product=product, archive=Archive(settings.home), settings=settings)


def test_every_declared_criterion_is_measured_and_is_a_check_of_the_decision(settings: Settings):
    candidate(settings, FIRST)

    decided = step(settings).make(FIRST)

    checks = {check.name: check for check in decided.record.checks}
    assert decided.record.facts["answer"] == "promote"
    assert set(checks) == {*CRITERIA, "gate"}
    assert all(check.passed for check in checks.values()), {name: each.facts for name, each in checks.items()}
    assert all(checks[name].facts["words"] for name in CRITERIA)
    assert checks["value"].facts["threshold"] == checks["fairness"].facts["threshold"] == 0.6


def test_the_threshold_is_the_models_own_whatever_is_declared_later(settings: Settings):
    held = candidate(settings, FIRST)
    later = EVERY.model_copy(update={"decide": Decide(threshold=0.9)})

    [value] = [check for check in step(settings, later).make(FIRST).record.checks if check.name == "value"]

    assert decode_spec(Archive(settings.home).data(held, "spec")).threshold == 0.6
    assert value.facts["threshold"] == 0.6


@pytest.mark.parametrize("features", [("price", "rooms", "street"), f"{__name__}.apart"])
def test_what_a_request_is_made_of_is_in_the_dataset_and_answers_are_equal(
    settings: Settings, features: tuple[str, ...] | str
):
    product = PLAIN.model_copy(update={"features": features})
    held = candidate(settings, FIRST, product)
    archive = Archive(settings.home)

    known = known_rows(step(settings, product), held, archive.table(held, "holdout"))
    [check] = [each for each in step(settings, product).make(FIRST).record.checks if each.name == ONLINE]

    assert known["_key"].to_list() == archive.table(held, "holdout")["_key"].to_list()
    assert {"price", "rooms", "street", "town"} <= set(known.columns)
    assert check.passed
    assert check.facts["rows"] == online.PROBES


def test_a_row_that_has_other_features_alone_is_found_and_nothing_is_promoted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    product = PLAIN.model_copy(update={"features": f"{__name__}.apart"})
    candidate(settings, FIRST, product)

    class Otherwise(Predictor):
        """An endpoint that has another version of the features function."""

        def one(self, values: tuple[object, ...]) -> Score:
            score = super().one(values)
            assert score.features is not None
            return msgspec.structs.replace(score, features=(float(str(score.features[0])) + 1e-3, *score.features[1:]))

    monkeypatch.setattr(online, "Predictor", Otherwise)
    decided = step(settings, product).make(FIRST)

    assert decided.record.facts["answer"] == "refuse"
    assert "features_are_equal: of 32 held-out rows asked one by one, feature 'per_room' is" in str(
        decided.record.facts["reasons"]
    )
    assert Archive(settings.home).ledger.champion("houses", "bath") is None


def test_a_criterion_that_fails_refuses_until_it_is_waived_and_only_so_long(settings: Settings):
    strict = EVERY.model_copy(update={"gate": EVERY.gate.model_copy(update={"value": 1000.0})})
    held = candidate(settings, FIRST, strict)
    soon, past = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, -1))
    waiver = Waiver(name="value", by="ann", reason="the market is closed", until=soon)

    refused = judged(step(settings, strict), held, None)
    waived = judged(step(settings, strict), held, None, waived={"value": waiver})
    expired = judged(step(settings, strict), held, None, waived={"value": replace(waiver, until=past)})
    of_another = judged(step(settings, strict), held, None, waived={"fairness": waiver})

    assert [each.verdict.answer for each in (refused, waived, expired, of_another)] == [
        "refuse",
        "promote",
        "refuse",
        "refuse",
    ]
    assert refused.verdict.reasons[0].startswith("value: a row is worth ")
    assert "value is waived by ann until " in waived.verdict.reasons[1]
    assert "for: the market is closed; a row is worth " in waived.verdict.reasons[1]
    assert not next(check for check in waived.checks if check.name == "value").passed  # it failed all the same


def test_all_that_speaks_against_a_candidate_is_told_at_once(settings: Settings):
    strict = EVERY.model_copy(update={"gate": EVERY.gate.model_copy(update={"value": 1000.0, "floor": 0.9999})})
    held = candidate(settings, FIRST, strict)

    first, second = judged(step(settings, strict), held, None).verdict.reasons

    assert first.startswith("value: ")
    assert "does not reach the floor 0.9999" in second


def test_a_claim_of_an_earlier_measurement_of_the_same_record_is_stale_if_it_is_older(settings: Settings):
    held = candidate(settings, FIRST)
    archive = Archive(settings.home)
    holdout = archive.table(held, "holdout")
    evidence = evidence_of(step(settings), held, held, holdout)

    claims = claims_of(step(settings), held, holdout, evidence, None, None)

    assert all(claim.at >= evidence.made and claim.record == held.id for claim in claims)
    assert tuple(claim.name for claim in claims) == declared(EVERY)


def test_a_candidate_whose_rows_are_not_in_its_datasets_is_not_promoted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    held = candidate(settings, FIRST)
    archive = Archive(settings.home)
    lost = archive.table(held, "holdout").with_columns(_key=pl.lit("nobody"))

    with pytest.raises(ValueError, match=r"houses/model\[bath\|2026-01-05\]: 0 of its 33 held-out rows are in its"):
        known_rows(step(settings), held, lost)

    monkeypatch.setattr("mlops_assets.registry.scored.known_rows", lambda *_: known_rows(step(settings), held, lost))
    decided = step(settings).make(FIRST)

    assert decided.record.facts["answer"] == "refuse"
    assert "features_are_equal: cannot tell: houses/model[bath|2026-01-05]: 0 of its 33" in str(decided.record.facts)


def test_a_criterion_that_nobody_measured_is_missing_and_is_no_yes(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    candidate(settings, FIRST)
    monkeypatch.setattr("mlops_assets.registry.scored.claims_of", lambda *_: ())

    decided = step(settings).make(FIRST)

    assert decided.record.facts["answer"] == "refuse"
    assert "check 'fairness' is missing" in str(decided.record.facts["reasons"])
    assert not any(check.passed for check in decided.record.checks)


def test_an_error_of_the_gates_own_decides_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    candidate(settings, FIRST)

    class Unforeseen(Exception):
        """Nothing that a criterion is known to raise."""

    def broken(*_: object) -> None:
        raise Unforeseen("boom")

    monkeypatch.setattr(criteria, "fairness", broken)

    with pytest.raises(Unforeseen):
        step(settings).make(FIRST)

    assert Archive(settings.home).ledger.acts("houses", "promote", "refuse") == []


def test_a_champion_that_does_not_know_a_new_class_is_compared_all_the_same(tmp_path: Path):
    weeks = sales(2, rows=300).filter(pl.col("town") == "bath")
    kinds = pl.when(pl.col("price") < 35).then(pl.lit("cheap")).when(pl.col("price") < 70).then(pl.lit("fair"))
    grown = pl.when(pl.col("id").str.slice(5, 4) >= "0112").then(pl.lit("dear")).otherwise(pl.lit("fair"))
    settings = deployment(tmp_path, weeks.with_columns(sold=kinds.otherwise(grown)))
    product = PLAIN.model_copy(
        update={
            "label": PLAIN.label.model_copy(update={"kind": "multiclass"}),
            "gate": Gate(metric="accuracy", floor=0.3),
        }
    )

    candidate(settings, FIRST, product)
    step(settings, product).make(FIRST)
    candidate(settings, SECOND, product)
    decided = step(settings, product).make(SECOND)

    assert decided.record.facts["answer"] == "promote", decided.record.facts["reasons"]
    assert float(str(decided.record.facts["champion"])) < 0.8 < float(str(decided.record.facts["candidate"]))


def test_a_decision_is_drawn_from_its_record_in_a_few_kilobytes(settings: Settings):
    candidate(settings, FIRST)
    first = step(settings).make(FIRST)
    candidate(settings, SECOND)
    second = step(settings).make(SECOND)
    archive = Archive(settings.home)

    drawn, compared = pictures(archive, first), pictures(archive, second)

    assert list(drawn) == ["candidate against champion", "slices", "groups of street"]
    assert "there is no champion" in drawn["candidate against champion"]
    assert "better by, in 1,000 resamples" in compared["candidate against champion"]
    assert "champion (dashed)" in compared["candidate against champion"]
    assert "true positive rate" in compared["groups of street"]
    assert sum(len(svg) for svg in compared.values()) < 20_000
    kept = msgspec.json.decode(archive.data(second, PICTURED), type=Pictured)
    assert sum(kept.spread[2:]) == 1_000
    assert kept.champion is not None
    assert np.all(np.diff(kept.champion.roc.x) >= 0)


def test_each_criterion_is_a_check_in_the_graph_with_its_facts_beside_the_pictures(settings: Settings, monkeypatch):
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    candidate(settings, FIRST)
    partition = dg.MultiPartitionKey({"segment": "bath", "window": WEEKS[0]})
    source = dg.AssetSpec(dg.AssetKey(["houses", "model"]))

    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize(
            [champion_asset(EVERY), source],
            partition_key=partition,
            instance=instance,
            resources={"platform": Platform()},
        )

    evaluations = {each.check_name: each for each in made.get_asset_check_evaluations()}
    [event] = made.get_asset_materialization_events()
    assert set(evaluations) == {*CRITERIA, "gate"}
    assert all(each.passed for each in evaluations.values())
    assert evaluations["fairness"].metadata["selection_rate_ratio"].value > 0
    assert "candidate against champion" in event.materialization.metadata
