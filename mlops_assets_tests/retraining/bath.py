"""The loop of Bath: three weeks of houses, a champion of the second, and the verdicts, acts and runs of a test."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import yaml

from mlops_assets.detection.verdict import ColumnShift, Verdict
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.ledger import Act, ActKind
from mlops_assets.evidence.records import Place, Recipe
from mlops_assets.parts import Retrain
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.decisions import RetrainDecision
from mlops_assets.retraining.loop_state import decide_segment
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, champion, deployment, make, registered, sales

FIRST, SECOND, THIRD = WEEKS
NOW = datetime(2026, 1, 28, 6, tzinfo=UTC)  # labels of the third week were due on the 28th at midnight
DAY = timedelta(days=1)
AT = "2026-01-28T00:00:00.000+00:00"


def with_policy(**policy: object) -> ModelProduct:
    """Houses under a retraining policy."""
    return HOUSES.model_copy(update={"retrain": Retrain.model_validate({"min_rows": 50, **policy})})


PRODUCT = with_policy()


def made(folder: Path) -> Settings:
    """A deployment below `folder`: three weeks of Bath, whose champion is version 1, trained up to the second."""
    found = deployment(folder, sales(3))
    for week in WEEKS:
        make(found, PRODUCT, f"bath|{week}")
    champion(found, trained(found, SECOND), 1)
    return found


def copied(made: Settings, folder: Path) -> Settings:
    """The same deployment in a folder of a test's own, with the product declared."""
    shutil.copytree(made.root, folder, dirs_exist_ok=True)
    declared = folder / "defs" / "houses" / "defs.yaml"
    declared.parent.mkdir(parents=True)
    attributes = PRODUCT.model_dump(mode="json", exclude_defaults=True)
    declared.write_text(yaml.safe_dump({"type": "mlops_assets.ModelProduct", "attributes": attributes}))
    moved = {name: folder / getattr(made, name).relative_to(made.root) for name in ("home", "defs", "dagster_home")}
    return replace(made, root=folder, mlflow_uri=f"sqlite:///{folder / 'mlflow.db'}", **moved)


def trained(settings: Settings, week: str, product: ModelProduct = PRODUCT) -> Held:
    return make(settings, product, f"bath|{week}", Stage.MODEL)[Stage.MODEL]


def judged(
    settings: Settings,
    day: str,
    *,
    version: int = 1,
    state: str = "drift",
    stage: Stage = Stage.DRIFT,
    kind: str = "data",
    town: str = "bath",
    again: int = 0,
) -> str:
    """Store the verdict on a day, `price` having moved, and return its record; `again` makes another one."""
    shift = ColumnShift(column="price", effect=1.5, unit="sd", p_value=1e-9, words="price is 1.5 sd higher")
    found = Verdict(
        state=state,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
        p_value=1e-9,
        columns=(shift,) if state == "drift" else (),
        rows=100,
        windows=28,
        words=f"{kind} drift: price is 1.5 sd higher",
    )
    recipe = Recipe(
        place=Place(product="houses", stage=stage, partition=f"{town}|{day}"), code=f"{version}{state}{again}"
    )
    facts = {"state": state, "version": version, "kind": kind, "words": found.words, "again": again}
    built = Built(outputs={"verdict": (msgspec.json.encode(found), "json")}, facts=facts)
    return Archive(settings.home).make(recipe, [], lambda: built).id


def decide(
    settings: Settings, *, now: datetime = NOW, running: bool = False, product: ModelProduct = PRODUCT
) -> RetrainDecision:
    decision = decide_segment(product, settings, "bath", now, running=running)
    assert decision is not None
    return decision


def decided_on(settings: Settings, version: int, decision: str | None = None) -> Held:
    """Train and register a candidate of the third week, and let the gate decide."""
    model = trained(settings, THIRD)
    registered(settings, model, version, decision)
    make(settings, PRODUCT, f"bath|{THIRD}", Stage.CHAMPION)
    return model


def promoted(settings: Settings, version: int, decision: str) -> None:
    """Let a candidate of the third week, which a decision asked for, become champion, and the gate see it."""
    model = trained(settings, THIRD)
    registered(settings, model, version, decision)
    champion(settings, model, version)
    make(settings, PRODUCT, f"bath|{THIRD}", Stage.CHAMPION)


def refused(settings: Settings, held: Held, version: int, decision: RetrainDecision) -> None:
    """Let the gate refuse a candidate that a decision asked for."""
    act = registered(settings, held, version, decision.id)
    Archive(settings.home).ledger.add(msgspec.structs.replace(act, kind="refuse", by="gate", reason="no better"))


def acted(
    settings: Settings, kind: ActKind, reason: str, *, segment: str | None = None, record: str | None = None
) -> None:
    """Let Jo act on the product."""
    act = Act(kind=kind, product="houses", segment=segment, record=record, by="jo", reason=reason, at=AT)
    Archive(settings.home).ledger.add(act)
