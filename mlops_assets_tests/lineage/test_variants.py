"""What a canary answered is traced to the canary's model, and replayed with it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.lineage.predictions import recent, recent_lines
from mlops_assets.lineage.proof import trace_lines
from mlops_assets.lineage.replay import replay
from mlops_assets.lineage.trace import trace
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.sealed import BASE
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import (
    HOUSES,
    WEEKS,
    answered,
    champion,
    declare,
    deployment,
    make,
    over,
    registered,
    sales,
)

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses, a champion of Bath and a canary beside it."""
    found = deployment(tmp_path, sales(3))
    declare(found, HOUSES)
    first, second = (make(found, HOUSES, f"bath|{week}", *DATA, Stage.MODEL)[Stage.MODEL] for week in WEEKS[:2])
    champion(found, first, 1)
    registered(found, second, 2)
    return found


def held(settings: Settings, version: int) -> Held:
    act = Archive(settings.home).ledger.version("houses", version)
    assert act is not None
    return Archive(settings.home).held(act.record or "")


def answer(settings: Settings, version: int, variant: str) -> str:
    rows = sales(3).filter(pl.col("town") == "bath").tail(1)
    return answered(settings, held(settings, version), version, rows, NOON, variant, variant)[0]


@pytest.mark.parametrize("sealed", [False, True])
def test_an_answer_of_a_canary_leads_to_the_canary_s_model(settings: Settings, sealed: bool):
    answer(settings, 1, "champion")
    canary = answer(settings, 2, "canary")
    if sealed:
        for writer in ("champion", "canary"):
            over(settings, NOON + timedelta(days=1), writer)
        PredictionsStep(product=HOUSES, archive=Archive(settings.home), settings=settings).make("bath|2026-01-13")

    proof, again = trace(settings, canary, budget_s=None), replay(settings, canary)

    assert proof.prediction is not None
    assert proof.model is not None
    assert (proof.prediction.variant, proof.model.version) == ("canary", "houses@2")
    assert any("by the canary" in line for line in trace_lines(proof))
    assert again.equal, again.differs
    assert again.same[0].endswith("by the canary")


def test_the_list_of_predictions_says_who_was_beside_the_champion(settings: Settings):
    plain, canary = answer(settings, 1, "champion"), answer(settings, 2, "canary")

    rows = recent(settings, "houses", last=5, since=None)

    assert {row["inference_id"]: row["variant"] for row in rows} == {plain: "champion", canary: "canary"}
    assert sorted(line.endswith("canary") for line in recent_lines(rows)) == [False, True]


def test_rows_that_were_sealed_before_there_were_variants_are_listed_too():
    from mlops_assets.lineage.predictions import _shown

    old = pl.DataFrame(schema={name: dtype for name, dtype in BASE.items() if name != "variant"}).lazy()

    assert _shown(old).collect().columns[-1] == "variant"
