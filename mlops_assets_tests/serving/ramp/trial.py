"""A segment with a champion and candidates, made once and copied; workers that are only files with counts."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.traffic import Variant, traffic_of
from mlops_assets.product import DATA, Canary, Endpoint, ModelProduct, Stage
from mlops_assets.registry.ramping import begin
from mlops_assets.serving.ramp.acts import deploy
from mlops_assets.serving.routing.counts import VariantCounts
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, champion, deployment, make, registered, sales
from mlops_assets_tests.serving.ramp.test_judge import counts

RAMP = Canary.model_validate({"steps": ["5%", "25%", "100%"], "hold": "1h", "quality": 0.05})
RAMPED = HOUSES.model_copy(update={"endpoint": Endpoint(canary=RAMP)})
START = datetime(2026, 1, 20, tzinfo=UTC)
GOOD, USUAL, ERRING = counts(250), counts(3_800, errors=4), counts(200, errors=40)


def prepared(folder: Path) -> Settings:
    """Bath with the champion 1 and the candidate 2, York with the champion 3; all registered."""
    settings = deployment(folder, sales(2))
    for version, partition in enumerate((f"bath|{WEEKS[0]}", f"bath|{WEEKS[1]}", f"york|{WEEKS[0]}"), 1):
        held = make(settings, HOUSES, partition, *DATA, Stage.MODEL)[Stage.MODEL]
        if version == 2:
            registered(settings, held, version)
        else:
            champion(settings, held, version)
    return settings


def copied(settings: Settings, folder: Path) -> Settings:
    """The same deployment in another folder."""
    shutil.copytree(settings.root, folder, dirs_exist_ok=True)
    return replace(settings, root=folder, home=folder / "home", defs=folder / "defs")


def acts(settings: Settings, *kinds: str) -> list[Act]:
    return [act for act in Archive(settings.home).ledger.acts("houses") if not kinds or act.kind in kinds]


def told(settings: Settings) -> list[tuple[str, int | None, object]]:
    """What became of who is tried: kind, version, and share or cause."""
    return [
        (act.kind, act.version, act.facts.get("cause", act.facts.get("share")))
        for act in acts(settings, "traffic", "withdraw", "promote", "rollback", "verdict")
        if act.by != "gate" or act.kind == "traffic"
    ]


def variant(settings: Settings, name: str = "canary") -> Variant | None:
    return traffic_of(acts(settings), "bath").get(name)  # type: ignore[call-overload]


def started(settings: Settings, product: ModelProduct = RAMPED) -> None:
    """Let the gate start the ramp of candidate 2."""
    archive = Archive(settings.home)
    known = archive.ledger.version("houses", 2)
    first = archive.ledger.champion("houses", "bath")
    assert known is not None
    assert first is not None
    word = msgspec.structs.replace(
        known, kind="promote", by="gate", reason="auc 0.9", at=stamp(datetime.now(UTC)), facts={"window": WEEKS[1]}
    )
    begin(archive.ledger, product, word, first, datetime.now(UTC))
    deploy(settings, product)


def counted(settings: Settings, *, canary: VariantCounts, usual: VariantCounts = USUAL, writer: str = "w") -> None:
    """Let a worker say what it counted under the deployment of now."""
    folder = settings.serving("houses")
    wanted = read_deployment(folder)
    assert wanted is not None
    [beside] = wanted.beside["bath"]
    worker = Worker(writer=writer, pid=1, url="http://127.0.0.1:9", clock="server", started=START)
    Registration(folder, worker).beat(
        datetime.now(UTC),
        counts_of=wanted.id,
        counts={f"bath/champion/{wanted.routes['bath'].version}": usual, f"bath/{beside.name}/2": canary},
    )


def later(hours: float = 2) -> datetime:
    """A time so many hours after now; acts are stamped with the clock's time."""
    return datetime.now(UTC) + timedelta(hours=hours)
