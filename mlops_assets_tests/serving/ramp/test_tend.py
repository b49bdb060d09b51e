"""Who is tried goes up by the ledger, or is taken back by it, whoever looks and whatever happens meanwhile."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, Conflict, Ledger
from mlops_assets.evidence.records import Place
from mlops_assets.product import Endpoint, Stage
from mlops_assets.serving.ramp.acts import deploy, roll_back, set_traffic
from mlops_assets.serving.ramp.tend import Tending, tend
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL
from mlops_assets_tests.houses import HOUSES, answered, outcomes, sales
from mlops_assets_tests.serving.ramp.trial import (
    ERRING,
    GOOD,
    RAMPED,
    acts,
    copied,
    counted,
    later,
    prepared,
    started,
    told,
    variant,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return prepared(tmp_path_factory.mktemp("made"))


@pytest.fixture
def settings(made: Settings, tmp_path: Path) -> Settings:
    return copied(made, tmp_path)


def shares(settings: Settings) -> list[tuple[str, int, float]]:
    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    return [(each.name, each.route.version, each.share) for each in wanted.beside.get("bath", [])]


def test_a_candidate_goes_up_step_by_step_and_is_promoted_with_what_the_gate_knew(settings: Settings):
    started(settings)
    assert shares(settings) == [("canary", 2, 0.05)]
    counted(settings, canary=GOOD)
    assert tend(RAMPED, settings, later(0.5), whole=True) == []
    assert tend(RAMPED, settings, later(2), whole=True)
    assert shares(settings) == [("canary", 2, 0.25)]
    assert tend(RAMPED, settings, later(4), whole=True) == []  # the counts begin anew with each step
    counted(settings, canary=GOOD)

    said = tend(RAMPED, settings, later(4), whole=True)

    assert told(settings) == [("traffic", 2, "0.05"), ("traffic", 2, "0.25"), ("promote", 2, None)]
    [*_, promotion] = acts(settings, "promote")
    assert promotion.facts == {"window": "2026-01-12"}
    assert promotion.reason.startswith("no worse in 250 requests since ")
    assert said[0].startswith("houses[bath]: canary 2 is champion: no worse")
    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    assert (wanted.routes["bath"].version, wanted.beside) == (2, {})


def test_a_worse_one_is_taken_back_with_the_reason_and_what_is_served_follows_at_once(settings: Settings):
    started(settings)
    counted(settings, canary=ERRING)

    said = tend(RAMPED, settings, datetime.now(UTC), whole=False)

    assert told(settings) == [("traffic", 2, "0.05"), ("withdraw", 2, "worse")]
    [act] = acts(settings, "withdraw")
    assert act.reason.startswith("it failed in 20.00% of its 200 requests, the champion in 0.11% of 3,800")
    assert act.facts["variant"] == "canary"
    assert shares(settings) == []
    assert said[0] == f"houses[bath]: canary 2 is taken back: {act.reason}"
    assert tend(RAMPED, settings, later(), whole=True) == []


def test_the_counts_of_all_workers_count_also_of_one_that_was_killed(settings: Settings):
    started(settings)
    part = msgspec.structs.replace(ERRING, requests=ERRING.requests // 4, errors=ERRING.errors // 4)
    for writer in ("a", "b", "c"):
        counted(settings, canary=part, writer=writer)

    tend(RAMPED, settings, datetime.now(UTC), whole=False)

    [act] = acts(settings, "withdraw")
    assert "of its 150 requests" in act.reason


def test_a_worker_that_only_guards_never_steps_up(settings: Settings):
    started(settings)
    counted(settings, canary=GOOD)

    assert tend(RAMPED, settings, later(), whole=False) == []

    assert told(settings) == [("traffic", 2, "0.05")]


def test_a_pause_stops_the_steps_but_not_the_taking_back(settings: Settings):
    started(settings)
    ledger = Archive(settings.home).ledger
    ledger.add(Act(kind="pause", product="houses", by="jo", reason="audit", at="2026-01-20T00:00:00.000+00:00"))
    counted(settings, canary=GOOD)

    assert tend(RAMPED, settings, later(), whole=True) == []
    counted(settings, canary=ERRING)
    tend(RAMPED, settings, later(), whole=True)

    assert told(settings) == [("traffic", 2, "0.05"), ("withdraw", 2, "worse")]


def test_a_rejected_one_is_taken_back(settings: Settings):
    started(settings)
    known = Archive(settings.home).ledger.version("houses", 2)
    assert known is not None
    Archive(settings.home).ledger.add(msgspec.structs.replace(known, kind="reject", by="jo", reason="not this one"))

    tend(RAMPED, settings, datetime.now(UTC), whole=False)

    [act] = acts(settings, "withdraw")
    assert (act.facts["cause"], act.reason) == ("rejected", "rejected by jo: not this one")


def test_one_that_is_taken_back_at_the_last_moment_is_not_promoted(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    product = RAMPED.model_copy(
        update={"endpoint": Endpoint.model_validate({"canary": {"steps": ["5%", "100%"], "hold": "1s"}})}
    )
    started(settings, product)
    counted(settings, canary=GOOD)
    slow, fast = Tending(product, settings), Tending(product, settings)
    seen = slow.looks

    def raced(*given: object, **named: object) -> object:
        looks = seen(*given, **named)  # type: ignore[arg-type]
        counted(settings, canary=ERRING)
        fast.tend(datetime.now(UTC), whole=False)
        return looks

    monkeypatch.setattr(slow, "looks", raced)

    said = slow.tend(later(), whole=True)

    assert said == ["houses[bath]: somebody changed who answers; look again"]
    assert told(settings) == [("traffic", 2, "0.05"), ("withdraw", 2, "worse")]


def test_a_champion_that_moved_meanwhile_ends_the_ramp_and_it_is_said(settings: Settings):
    started(settings)
    ledger = Archive(settings.home).ledger
    other = ledger.version("houses", 3)
    assert other is not None
    ledger.move_champion(msgspec.structs.replace(other, kind="promote", by="jo", segment="bath"), expected=1)

    tend(RAMPED, settings, datetime.now(UTC), whole=False)

    [act] = acts(settings, "withdraw")
    assert (act.version, act.facts["cause"]) == (2, "moved")
    assert "the champion is houses@3 by now" in act.reason
    assert tend(RAMPED, settings, datetime.now(UTC), whole=True) == []


def test_a_shadow_has_its_period_then_steps_up_and_without_steps_is_promoted(settings: Settings):
    product = RAMPED.model_copy(
        update={"endpoint": Endpoint.model_validate({"shadow": "1d", "canary": ["5%", "100%"]})}
    )
    started(settings, product)
    assert shares(settings) == [("shadow", 2, 0.0)]
    counted(settings, canary=GOOD)
    assert tend(product, settings, later(12), whole=True) == []

    tend(product, settings, later(25), whole=True)

    assert shares(settings) == [("canary", 2, 0.05)]
    assert variant(settings, "shadow") is None


def test_a_shadow_alone_is_promoted_after_its_period(settings: Settings):
    product = RAMPED.model_copy(update={"endpoint": Endpoint.model_validate({"shadow": "1d"})})
    started(settings, product)
    counted(settings, canary=GOOD)

    tend(product, settings, later(25), whole=True)

    assert told(settings) == [("traffic", 2, "0"), ("promote", 2, None)]
    assert shares(settings) == []


def test_one_whose_models_no_worker_can_load_is_taken_back(settings: Settings):
    started(settings)
    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    worker = Worker(writer="w", pid=1, url="http://127.0.0.1:9", clock="server", started=datetime.now(UTC))
    Registration(settings.serving("houses"), worker).refuses(wanted.id, "NotEqual: row 3")

    tend(RAMPED, settings, datetime.now(UTC), whole=False)

    [act] = acts(settings, "withdraw")
    assert (act.facts["cause"], act.reason) == ("failed", "it could not be deployed: NotEqual: row 3")


def test_a_canary_by_hand_keeps_its_share_and_is_taken_back_by_the_margins_all_the_same(settings: Settings):
    set_traffic(settings, HOUSES, "bath", "canary", 2, 0.1, by="jo", reason="a look")
    counted(settings, canary=GOOD)
    assert tend(HOUSES, settings, later(900), whole=True) == []
    counted(settings, canary=ERRING)

    tend(HOUSES, settings, datetime.now(UTC), whole=False)

    assert told(settings) == [("traffic", 2, "0.1"), ("withdraw", 2, "worse")]


def matured(settings: Settings, *, rows: int, wrong: bool, name: str) -> None:
    """Log answers of champion and candidate, and what became of each: as the candidate says, or the contrary."""
    archive = Archive(settings.home)
    at = datetime.now(UTC) + timedelta(seconds=1)
    houses = sales(2, rows=rows).filter(town="bath").head(rows)
    for version, who in ((1, "champion"), (2, name)):
        known = archive.ledger.version("houses", version)
        assert known is not None
        ids = answered(settings, archive.held(known.record or ""), version, houses, at, f"{who}-{version}", variant=who)
        truth = [sold != (wrong and version == 2) for sold in houses["sold"].cast(bool).to_list()]
        at += timedelta(seconds=1)
        outcomes(settings, {id_: str(int(each)) for id_, each in zip(ids, truth, strict=True)}, at, writer=who)


def test_a_worse_loss_on_matured_outcomes_takes_it_back(settings: Settings):
    started(settings)
    counted(settings, canary=GOOD)
    matured(settings, rows=120, wrong=True, name="canary")

    assert tend(RAMPED, settings, datetime.now(UTC), whole=False) == []
    tend(RAMPED, settings, datetime.now(UTC), whole=True)

    [act] = acts(settings, "withdraw")
    assert act.reason.startswith("its mean loss is ")
    assert " on 120 outcomes, the champion's " in act.reason


def test_the_verdict_on_a_split_is_kept_once_and_never_ends_it(settings: Settings):
    set_traffic(settings, HOUSES, "bath", "split", 2, 0.5, by="jo", reason="which is better")
    matured(settings, rows=120, wrong=True, name="split")

    said = [tend(HOUSES, settings, later(), whole=True) for _ in range(3)]

    [act] = acts(settings, "verdict")
    assert (act.version, act.facts["against"], act.facts["answer"], act.facts["outcomes"]) == (
        2,
        1,
        "worse",
        [120, 120],
    )
    assert float(str(act.facts["low"])) > 0
    assert said[0][0] == f"houses[bath]: split 2 is {act.reason}"
    assert said[1:] == [[], []]
    assert shares(settings) == [("split", 2, 0.5)]


def test_a_rollback_ends_the_ramp_and_goes_back_in_one_deployment(settings: Settings):
    archive = Archive(settings.home)
    known = archive.ledger.version("houses", 2)
    assert known is not None
    archive.ledger.move_champion(msgspec.structs.replace(known, kind="promote", by="gate"), expected=1)
    deploy(settings, HOUSES)
    set_traffic(settings, HOUSES, "bath", "canary", 1, 0.2, by="jo", reason="back in parts")

    said = roll_back(settings, HOUSES, to=None, segment="bath", by="jo", reason="it harms")

    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    assert (wanted.routes["bath"].version, wanted.beside) == (1, {})
    assert said[:2] == [
        "houses[bath]: version 1 is no canary any more (it harms)",
        "houses[bath]: champion 2 -> 1 (it harms)",
    ]


@pytest.mark.parametrize(
    "broken", ["mlops_assets.serving.ramp.tend.deploy", "mlops_assets.serving.steps.write_deployment"]
)
@pytest.mark.parametrize("whole", [False, True])
def test_one_that_was_taken_back_before_a_crash_is_not_served_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, broken: str, whole: bool
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    started(settings)
    counted(settings, canary=ERRING)
    with monkeypatch.context() as patch:
        patch.setattr(broken, full)
        with pytest.raises(OSError, match="No space left"):
            tend(RAMPED, settings, datetime.now(UTC), whole=False)
    assert shares(settings) == [("canary", 2, 0.05)]

    said = [tend(RAMPED, settings, datetime.now(UTC), whole=whole) for _ in range(2)]

    assert shares(settings) == []
    assert [len(lines) for lines in said] == [1, 0]
    assert said[0][0].startswith("deployment ")
    assert told(settings) == [("traffic", 2, "0.05"), ("withdraw", 2, "worse")]


def test_a_deployment_that_failed_is_not_asked_for_again_at_each_look(settings: Settings):
    product = RAMPED.model_copy(update={"endpoint": Endpoint.model_validate({"shadow": "1d"})})
    started(settings, product)
    counted(settings, canary=GOOD)
    tend(product, settings, later(25), whole=True)
    archive = Archive(settings.home)
    failed = archive.head(Place(product="houses", stage=Stage.ENDPOINT, partition=ALL))
    assert failed is not None
    good = EndpointStep(product=product, archive=archive, settings=settings).take_back(failed, "no worker loads it")

    said = [tend(product, settings, later(26), whole=whole) for whole in (True, False, True)]

    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    assert (wanted.id, said) == (good, [[], [], []])


def test_a_rollback_of_which_somebody_was_faster_with_a_part_serves_the_rest(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    ledger = Archive(settings.home).ledger
    second, york = ledger.version("houses", 2), ledger.champion("houses", "york")
    assert second is not None
    assert york is not None
    ledger.move_champion(msgspec.structs.replace(second, kind="promote", by="gate"), expected=1)
    ledger.move_champion(msgspec.structs.replace(york, version=4, by="gate"), expected=3)
    deploy(settings, HOUSES)
    move = Ledger.move_champion

    def raced(self: Ledger, act: Act, *, expected: int | None) -> Act:
        if act.segment == "york":
            move(self, msgspec.structs.replace(york, version=5, by="gate"), expected=4)
        return move(self, act, expected=expected)

    monkeypatch.setattr(Ledger, "move_champion", raced)

    with pytest.raises(
        Conflict, match=r"bath\]: champion 2 -> 1 \(it harms\); .*york\]: the champion is 5, expected 4"
    ):
        roll_back(settings, HOUSES, to=None, segment=None, by="jo", reason="it harms")

    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    assert {segment: route.version for segment, route in wanted.routes.items()} == {"bath": 1, "york": 5}
