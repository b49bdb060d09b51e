"""The ledger's traffic becomes a deployment; what variants and shadows said is sealed beside the champion's answers."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.monitoring.follow import sealable
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.sealed import completed
from mlops_assets.serving.routing.deploy import Deployment, read_deployment
from mlops_assets.serving.steps import EndpointStep, PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, deployment, make, over, registered, sales

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
DAY = "2026-01-13"
LATER = NOON + timedelta(days=9)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses; a champion of Bath and one that is registered after it."""
    found = deployment(tmp_path, sales(3))
    champion(found, model(found), 1)
    registered(found, model(found, WEEKS[1]), 2)
    return found


def model(settings: Settings, week: str = WEEKS[0]) -> Held:
    return make(settings, HOUSES, f"bath|{week}", *DATA, Stage.MODEL)[Stage.MODEL]


def act(settings: Settings, kind: str, variant: str, at: str, share: float = 0.0, version: int = 2) -> None:
    ledger = Archive(settings.home).ledger
    known = ledger.version("houses", version)
    assert known is not None
    said = {"kind": kind, "at": at, "facts": {"variant": variant, "share": share}}
    ledger.add(msgspec.convert({**msgspec.to_builtins(known), **said}, Act))


def deploy(settings: Settings) -> tuple[Held, Deployment]:
    held = EndpointStep(product=HOUSES, archive=Archive(settings.home), settings=settings).make("all")
    found = read_deployment(settings.serving("houses"))
    assert found is not None
    return held, found


def test_traffic_puts_a_version_beside_the_champion_and_its_record_among_the_inputs(settings: Settings):
    act(settings, "traffic", "canary", "t1", 0.05)

    held, found = deploy(settings)

    [canary] = found.beside["bath"]
    assert (canary.name, canary.route.version, canary.share) == ("canary", 2, 0.05)
    assert found.routes["bath"].version == 1
    assert {each.record for each in held.record.inputs} == {canary.route.record, found.routes["bath"].record}
    told = Archive(settings.home).ledger.acts("houses", "deploy")[-1]
    assert (told.reason, told.facts) == ("bath@1, canary bath@2 5%", {"bath": 1})


def test_a_ramp_that_grows_keeps_its_salt_and_another_trial_has_another(settings: Settings):
    salts = list[str]()
    for kind, at, share in (
        ("traffic", "t1", 0.05),
        ("traffic", "t2", 0.25),
        ("withdraw", "t3", 0),
        ("traffic", "t4", 0.05),
    ):
        act(settings, kind, "canary", at, share)
        salts += [each.salt for each in deploy(settings)[1].beside.get("bath", [])]

    assert salts[0] == salts[1] != salts[2]


def test_each_share_is_a_deployment_that_names_the_one_before(settings: Settings):
    first, _ = deploy(settings)
    act(settings, "traffic", "canary", "t1", 0.05)
    second, _ = deploy(settings)
    again, _ = deploy(settings)
    act(settings, "withdraw", "canary", "t2")
    third, found = deploy(settings)

    assert (second.record.state["predecessor"], third.record.state["predecessor"]) == (first.id, second.id)
    assert (again.id, again.skipped) == (second.id, True)
    assert len({first.id, second.id, third.id}) == 3
    assert found.beside == {}


def test_a_shadow_stays_when_a_canary_of_another_version_comes(settings: Settings):
    registered(settings, model(settings, WEEKS[2]), 3)
    act(settings, "traffic", "shadow", "t1", 1.0, version=3)
    act(settings, "traffic", "canary", "t2", 0.05)

    _, found = deploy(settings)

    assert sorted(each.name for each in found.beside["bath"]) == ["canary", "shadow"]


def test_the_champion_before_is_asked_to_be_kept_warm_unless_it_is_damaged(settings: Settings):
    before = Archive(settings.home).ledger.champion("houses", "bath")
    champion(settings, model(settings, WEEKS[1]), 2)

    _, found = deploy(settings)
    pointer = settings.home / "records" / str(before.record)[:2] / f"{before.record}.envelope"
    pointer.unlink()
    act(settings, "traffic", "split", "t1", 0.5)
    _, without = deploy(settings)

    assert (found.routes["bath"].version, found.warm["bath"].version) == (2, 1)
    assert without.warm == {}


def predictions(settings: Settings) -> PredictionsStep:
    return PredictionsStep(product=HOUSES, archive=Archive(settings.home), settings=settings)


def live(settings: Settings, version: int, rows: int, writer: str, variant: str = "champion") -> list[str]:
    known = Archive(settings.home).ledger.version("houses", version)
    held = Archive(settings.home).held(known.record or "")
    return answered(settings, held, version, sales(3).filter(town="bath").tail(rows), NOON, writer, variant)


def shadowed(settings: Settings, ids_of: str = "w") -> list[str]:
    """Let a shadow answer four houses; its log is that of a worker, in the folder of shadows."""
    folder = settings.serving("houses")
    ids = live(settings, 2, 4, "x", "shadow")
    target = folder / "shadow" / DAY / f"{ids_of}.log"
    target.parent.mkdir(parents=True)
    os.rename(folder / "log" / DAY / "x.log", target)
    return ids


def test_a_sealed_window_says_as_what_each_row_was_answered(settings: Settings):
    live(settings, 1, 6, "w")
    live(settings, 2, 3, "v", "canary")
    for writer in "wv":
        over(settings, NOON + timedelta(days=1), writer)

    held = predictions(settings).make(f"bath|{DAY}")

    table = Archive(settings.home).table(held, "predictions")
    assert dict(table.group_by("variant").len().rows()) == {"champion": 6, "canary": 3}
    assert "shadow" not in {output.name for output in held.record.outputs}


def test_what_a_shadow_said_is_sealed_as_a_table_of_its_own_and_its_file_goes(settings: Settings):
    live(settings, 1, 6, "w")
    ids = shadowed(settings)
    over(settings, NOON + timedelta(days=1), "w")

    held = predictions(settings).make(f"bath|{DAY}")

    archive, folder = Archive(settings.home), settings.serving("houses")
    assert archive.table(held, "shadow")["inference_id"].to_list() == sorted(ids)
    assert archive.table(held, "predictions").height == 6
    assert (held.record.facts["rows"], held.record.facts["shadow"], held.record.facts["missing"]) == (6, 4, 0)
    assert [*folder.glob("log/*/*.log"), *folder.glob("shadow/*/*.log")] == []
    assert (folder / "sealed" / DAY / "ids").stat().st_size == 6 * 20


def test_a_shadow_that_is_late_re_seals_its_window_and_changes_nothing_else(settings: Settings):
    live(settings, 1, 6, "w")
    over(settings, NOON + timedelta(days=1), "w")
    first = predictions(settings).make(f"bath|{DAY}")
    late = shadowed(settings)

    due = [each.partition for each in sealable(HOUSES, settings, LATER)]
    second = predictions(settings).make(f"bath|{DAY}")
    later = predictions(settings).make(f"bath|{DAY}")

    archive = Archive(settings.home)
    assert f"bath|{DAY}" in due
    assert second.record.root == first.record.root
    assert archive.table(second, "shadow")["inference_id"].to_list() == sorted(late)
    assert (later.id, later.skipped) == (second.id, True)


def test_a_table_from_before_there_were_variants_is_the_champion_s(settings: Settings):
    live(settings, 1, 6, "w")
    over(settings, NOON + timedelta(days=1), "w")
    held = predictions(settings).make(f"bath|{DAY}")

    old = Archive(settings.home).table(held, "predictions").drop("variant")

    assert completed(old)["variant"].unique().to_list() == ["champion"]
    assert completed(old)["output"].to_list() == old["output"].to_list()
