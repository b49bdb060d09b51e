"""What a person may ask of traffic is done at once; what makes no sense is refused, and the words say what is right."""

from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.traffic import VariantName
from mlops_assets.operations.trials import traffic, traffic_lines
from mlops_assets.rules import Approval
from mlops_assets.serving.ramp.acts import deploy, roll_back, set_traffic, withdraw
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, declare, registered
from mlops_assets_tests.serving.ramp.trial import RAMPED, acts, copied, prepared, started, told, variant


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return prepared(tmp_path_factory.mktemp("made"))


@pytest.fixture
def settings(made: Settings, tmp_path: Path) -> Settings:
    return copied(made, tmp_path)


def asked(
    settings: Settings, name: VariantName, version: int, share: float | None, segment: str | None = "bath"
) -> list[str]:
    return set_traffic(settings, HOUSES, segment, name, version, share, by="jo", reason="try it")


def test_a_canary_is_served_at_once_and_its_share_may_be_changed(settings: Settings):
    first = asked(settings, "canary", 2, 0.05)
    asked(settings, "canary", 2, 0.125)

    assert first[0] == "houses[bath]: version 2 answers 5% as canary (try it)"
    wanted = read_deployment(settings.serving("houses"))
    assert wanted is not None
    [beside] = wanted.beside["bath"]
    assert (beside.name, beside.route.version, beside.share) == ("canary", 2, 0.125)
    found = variant(settings)
    assert found is not None
    assert found.since.facts["share"] == "0.05"  # the same trial: who was answered by it goes on to be


@pytest.mark.parametrize(
    ("name", "version", "share", "segment", "error", "words"),
    [
        ("canary", 9, 0.05, "bath", LookupError, "no version houses@9; known versions: 1, 2, 3"),
        ("canary", 3, 0.05, "bath", ValueError, "houses@3 is a model of york, not of bath; versions of bath: 1, 2"),
        ("canary", 1, 0.05, "bath", ValueError, "houses@1 is the champion of bath: it answers already"),
        ("canary", 2, 0.0, "bath", ValueError, "share of a canary: found 0%; right is over 0% and under 100%"),
        ("split", 2, 1.0, "bath", ValueError, "share of a split: found 100%; right is over 0% and under 100%"),
        ("canary", 2, None, "bath", ValueError, "share of a canary: found none; right is over 0%"),
        ("shadow", 2, 0.5, "bath", ValueError, "a shadow has no share: it gets copies of all requests"),
        ("canary", 2, 0.05, "rome", LookupError, "no segment 'rome'; known segments: bath, york"),
        ("canary", 2, 0.05, None, ValueError, "houses has the segments bath, york; right is --segment with one"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    settings: Settings,
    name: VariantName,
    version: int,
    share: float | None,
    segment: str | None,
    error: type[Exception],
    words: str,
):
    with pytest.raises(error, match=words.replace("(", r"\(")):
        asked(settings, name, version, share, segment)

    assert told(settings) == []


def test_a_split_and_a_canary_at_once_are_refused_and_a_shadow_beside_either_is_not(settings: Settings):
    asked(settings, "canary", 2, 0.05)

    with pytest.raises(ValueError, match="houses@2 is the canary of bath; right is first mlops-assets traffic houses"):
        asked(settings, "split", 2, 0.5)
    asked(settings, "shadow", 2, None)

    assert told(settings) == [("traffic", 2, "0.05"), ("traffic", 2, "0")]


def test_before_a_champion_nothing_answers_beside_it(settings: Settings):
    (settings.home / "ledger.jsonl").unlink()
    archive = Archive(settings.home)
    registered(settings, archive.held(archive.heads("houses", "model")[f"bath|{WEEKS[0]}"]), 1)

    with pytest.raises(ValueError, match=r"houses\[bath\] has no champion yet: nothing can answer beside it"):
        asked(settings, "canary", 1, 0.05)


def test_who_was_rejected_or_is_not_approved_answers_nobody_but_an_unapproved_one_may_be_a_shadow(settings: Settings):
    strict = HOUSES.model_copy(update={"approval": Approval(roles=("risk",))})

    with pytest.raises(ValueError, match="houses@2 may not answer: it waits for risk to approve"):
        set_traffic(settings, strict, "bath", "canary", 2, 0.05, by="jo", reason="try it")
    set_traffic(settings, strict, "bath", "shadow", 2, None, by="jo", reason="try it")
    known = Archive(settings.home).ledger.version("houses", 2)
    assert known is not None
    Archive(settings.home).ledger.add(msgspec.structs.replace(known, kind="reject", by="ann", reason="no"))
    with pytest.raises(ValueError, match="houses@2 was rejected by ann"):
        asked(settings, "canary", 2, 0.05)


def test_withdrawing_ends_all_that_answers_beside_and_is_no_verdict_on_a_candidate_by_hand(settings: Settings):
    asked(settings, "canary", 2, 0.05)
    asked(settings, "shadow", 2, None)

    said = withdraw(settings, HOUSES, "bath", by="jo", reason="enough")

    assert said[:2] == [
        "houses[bath]: version 2 is no canary any more (enough)",
        "houses[bath]: version 2 is no shadow any more (enough)",
    ]
    with pytest.raises(LookupError, match="houses: nothing answers beside the champion of bath, york"):
        withdraw(settings, HOUSES, None, by="jo", reason="again")


def test_who_was_taken_back_is_told_until_somebody_answers_beside_the_champion_again(settings: Settings):
    declare(settings, HOUSES)
    asked(settings, "canary", 2, 0.05)
    withdraw(settings, HOUSES, "bath", by="jo", reason="enough")
    after = traffic_lines("houses", traffic(settings, "houses"))
    asked(settings, "canary", 2, 0.05)
    again = traffic_lines("houses", traffic(settings, "houses"))

    assert "canary 2 was taken back by jo at " in "\n".join(after)
    assert "taken back" not in "\n".join(again)


def test_a_person_may_give_a_ramp_another_share_and_it_goes_on_from_there(settings: Settings):
    started(settings, RAMPED)

    set_traffic(settings, RAMPED, "bath", "canary", 2, 0.5, by="jo", reason="faster")

    found = variant(settings)
    assert found is not None
    assert (found.share, found.ramped, found.act.facts["window"]) == (0.5, True, "2026-01-12")


def test_a_rollback_without_an_earlier_champion_still_ends_what_answers_beside(settings: Settings):
    asked(settings, "canary", 2, 0.05)

    said = roll_back(settings, HOUSES, to=None, segment="bath", by="jo", reason="it harms")

    assert said[0] == "houses[bath]: version 2 is no canary any more (it harms)"
    assert [act.kind for act in acts(settings, "rollback")] == []
    with pytest.raises(LookupError, match="houses: nothing to roll back to: no segment has had two champions"):
        roll_back(settings, HOUSES, to=None, segment="bath", by="jo", reason="again")


def test_a_second_rollback_says_that_the_champion_is_the_first_and_which_others_there_were(settings: Settings):
    ledger = Archive(settings.home).ledger
    second = ledger.version("houses", 2)
    assert second is not None
    ledger.move_champion(msgspec.structs.replace(second, kind="promote", by="gate", reason="better"), expected=1)
    roll_back(settings, HOUSES, to=None, segment="bath", by="jo", reason="it harms")

    with pytest.raises(LookupError, match="champion 1 of bath is its first; right is --to VERSION, of 2"):
        roll_back(settings, HOUSES, to=None, segment=None, by="jo", reason="again")
    with pytest.raises(LookupError, match="nothing to roll back to: bath has champion 1 already"):
        roll_back(settings, HOUSES, to=1, segment="bath", by="jo", reason="again")
    said = roll_back(settings, HOUSES, to=2, segment="bath", by="jo", reason="no")
    assert said[0].startswith("houses[bath]: champion 1 -> 2")


def test_what_is_deployed_twice_is_one_deployment(settings: Settings):
    assert deploy(settings, HOUSES) == deploy(settings, HOUSES)
