"""Where a ramp is declared the gate starts one instead of promoting; what was taken back only a person puts back."""

from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.traffic import traffic_of
from mlops_assets.product import DATA, Endpoint, ModelProduct, Stage
from mlops_assets.retraining.history import on_trial, trainings
from mlops_assets.rules import Trainer
from mlops_assets.serving.ramp.acts import set_traffic, withdraw
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, TREES, WEEKS, deployment, make, registered, sales

PRODUCT = HOUSES.model_copy(
    update={
        "trainer": Trainer(windows=1, params=dict(TREES)),
        "endpoint": Endpoint.model_validate({"canary": ["5%", "25%", "100%"]}),
    }
)
FIRST, BETTER = f"bath|{WEEKS[1]}", f"bath|{WEEKS[2]}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of Bath; in the third, dear houses are sold and cheap ones are not. The first champion is made."""
    bath = sales(3, rows=150).filter(pl.col("town") == "bath")
    turned = pl.when(pl.col("id").str.slice(5, 4) >= "0119").then(1 - pl.col("sold")).otherwise("sold")
    found = deployment(tmp_path, bath.with_columns(sold=turned))
    for version, partition in enumerate((FIRST, BETTER), 1):
        held = make(found, PRODUCT, partition, *DATA, Stage.MODEL)[Stage.MODEL]
        registered(found, held, version, f"decision {version}")
    return found


def decide(settings: Settings, partition: str, product: ModelProduct = PRODUCT) -> Held:
    return make(settings, product, partition, Stage.CHAMPION)[Stage.CHAMPION]


def said(settings: Settings) -> list[tuple[str, int | None]]:
    kinds = ("promote", "refuse", "wait", "traffic", "withdraw")
    return [(act.kind, act.version) for act in Archive(settings.home).ledger.acts("houses", *kinds)]


def acts(settings: Settings) -> list[Act]:
    return Archive(settings.home).ledger.acts("houses")


def test_the_first_champion_answers_at_once_and_the_next_starts_its_ramp_once(settings: Settings):
    first = decide(settings, FIRST)
    second, again = decide(settings, BETTER), decide(settings, BETTER)

    assert [held.record.facts["answer"] for held in (first, second, again)] == ["promote", "ramp", "ramp"]
    assert said(settings) == [("promote", 1), ("traffic", 2)]
    [canary] = traffic_of(acts(settings), "bath").values()
    assert (canary.name, canary.share, canary.act.by, canary.act.facts["window"]) == ("canary", 0.05, "gate", WEEKS[2])
    check = next(check for check in second.record.checks if check.name == "gate")
    assert check.passed


def test_a_shadow_comes_first_where_one_is_declared(settings: Settings):
    product = PRODUCT.model_copy(update={"endpoint": Endpoint.model_validate({"shadow": "1d"})})
    decide(settings, FIRST, product)

    assert decide(settings, BETTER, product).record.facts["answer"] == "ramp"

    assert [(each.name, each.share) for each in traffic_of(acts(settings), "bath").values()] == [("shadow", 0.0)]


def test_a_ramp_in_progress_is_neither_nothing_nor_a_failure(settings: Settings):
    decide(settings, FIRST)
    decide(settings, BETTER)

    known = list(trainings(PRODUCT, acts(settings), "bath", ()))

    assert [training.failed for training in known] == [False, False]
    assert on_trial(acts(settings), "bath") == "houses@2 is tried as canary"


def taken_back(settings: Settings) -> None:
    """What becomes of a canary that is worse."""
    [canary] = traffic_of(acts(settings), "bath").values()
    facts = {"variant": "canary", "cause": "worse", "ramp": canary.act.facts["ramp"]}
    gone = msgspec.structs.replace(canary.act, kind="withdraw", by="ramp", reason="it failed", facts=facts)
    Archive(settings.home).ledger.add(gone)


def test_what_was_taken_back_is_refused_with_the_reason_until_a_person_puts_it_back(settings: Settings):
    decide(settings, FIRST)
    decide(settings, BETTER)
    taken_back(settings)

    refused = decide(settings, BETTER).record.facts
    set_traffic(settings, PRODUCT, "bath", "canary", 2, 0.25, by="jo", reason="it was the network")
    back = decide(settings, BETTER).record.facts

    reasons = str(refused["reasons"])
    assert refused["answer"] == "refuse"
    assert "ramp took it back at" in reasons
    assert "it failed; mlops-assets traffic houses --canary 5% 2 --segment bath puts it back" in reasons
    assert back["answer"] == "ramp"
    assert said(settings)[1:] == [("traffic", 2), ("withdraw", 2), ("refuse", 2), ("traffic", 2)]


def test_one_that_was_taken_back_is_one_failed_candidate_however_often_it_is_judged(settings: Settings):
    decide(settings, FIRST)
    decide(settings, BETTER)
    taken_back(settings)
    before = [training.failed for training in trainings(PRODUCT, acts(settings), "bath", ())]
    decide(settings, BETTER)

    after = [training.failed for training in trainings(PRODUCT, acts(settings), "bath", ())]

    assert before == after == [False, True]
    assert on_trial(acts(settings), "bath") is None


def test_a_ramp_that_a_person_ends_is_not_started_again(settings: Settings):
    decide(settings, FIRST)
    decide(settings, BETTER)
    withdraw(settings, PRODUCT, "bath", by="jo", reason="not now")

    assert decide(settings, BETTER).record.facts["answer"] == "refuse"


def test_a_candidate_that_passes_takes_the_place_of_a_split_and_it_is_said(settings: Settings):
    decide(settings, FIRST)
    other = make(settings, PRODUCT.model_copy(update={"seed": 5}), FIRST, Stage.MODEL)[Stage.MODEL]
    registered(settings, other, 3)
    set_traffic(settings, PRODUCT, "bath", "split", 3, 0.5, by="jo", reason="compare")

    decide(settings, BETTER)

    [gone] = [act for act in acts(settings) if act.kind == "withdraw"]
    assert (gone.version, gone.facts["cause"]) == (3, "replaced")
    assert gone.reason == "houses@2 passed the gate and is tried in its place"
    assert [(each.name, each.version) for each in traffic_of(acts(settings), "bath").values()] == [("canary", 2)]
