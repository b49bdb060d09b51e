"""`mlops-assets alerts`: the open alerts, and whether the destinations accept a test."""

import json

import pytest

from mlops_assets.alerting.history import History
from mlops_assets.alerting.look import look
from mlops_assets.cli import main
from mlops_assets.evidence.archive import Archive, Built
from mlops_assets.evidence.records import Check, Place, Recipe
from mlops_assets.product import Stage
from mlops_assets_tests.alerting.fakes import Orchestra, Outbox, Receiver
from mlops_assets_tests.alerting.test_look import NOW
from mlops_assets_tests.tiny import NAME, Tiny

PLACE = Place(product=NAME, stage=Stage.DATASET, partition="all|2024-01-01")


@pytest.fixture
def failing(tiny_product: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """`tiny`, of which a day's dataset failed its schema; somebody has looked, and told nobody."""
    settings = tiny_product.settings
    recipe = Recipe(place=PLACE, code="x")
    built = Built(outputs={"dataset": (b"", "bin")}, checks=(Check(name="schema", passed=False),))
    Archive(settings.home).make(recipe, [], lambda: built)
    look(settings, [tiny_product.product], Orchestra(), Outbox(names=()), NOW)
    for name, value in {"HOME": settings.home, "DEFS": settings.defs, "ROOT": settings.root}.items():
        monkeypatch.setenv(f"MLOPS_ASSETS_{name}", str(value))
    return tiny_product


def test_it_lists_what_is_open_for_people_and_for_programs(failing: Tiny, capsys: pytest.CaptureFixture[str]):
    codes = [main(["alerts"]), main(["alerts", NAME, "--json"]), main(["status"])]

    lines, _, rest = capsys.readouterr().out.partition("{")
    listed, shown = rest.split("\n}\n")
    [alert] = json.loads("{" + listed + "}")["open"]
    assert codes == [0, 0, 0]
    assert f"error   {NAME} all: failed check of dataset" in lines
    assert "  2024-01-01: dataset failed schema; nothing is made from it" in lines
    assert "nobody is told: MLOPS_ASSETS_ALERTS names no destination" in lines
    assert (alert["kind"], alert["record"]) == (
        "failed check of dataset",
        Archive(failing.settings.home).head(PLACE).id,
    )
    assert "  alert: all: 2024-01-01: dataset failed schema; nothing is made from it" in shown


def test_an_unknown_product_is_named_with_the_known_ones(failing: Tiny, capsys: pytest.CaptureFixture[str]):
    assert main(["alerts", "tinny"]) == 4
    assert NAME in capsys.readouterr().err


def test_the_test_says_which_destination_fails_and_exits_with_1(
    failing: Tiny, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    broken = Receiver()
    broken.status = 500
    monkeypatch.setenv("MLOPS_ASSETS_ALERTS", f"{receiver.url('Secret-1')},{broken.url('Secret-2')}")
    before = History(failing.settings.home).cases()

    code = main(["alerts", "--test"])
    broken.status = 200
    mended = main(["alerts", "--test", "--json"])
    broken.close()

    out = capsys.readouterr().out
    assert (code, mended) == (1, 0)
    assert out.splitlines()[:2] == ["1 json: accepted", "2 json: refused with HTTP status 500"]
    assert "Secret" not in out
    assert [got["title"] for got in receiver.got] == ["mlops_assets: a test"] * 2
    assert History(failing.settings.home).cases() == before  # a test tells of no alert


def test_a_test_without_destinations_says_how_to_name_one(failing: Tiny, capsys: pytest.CaptureFixture[str]):
    assert main(["alerts", "--test"]) == 1
    assert "right are apprise URLs: slack://" in capsys.readouterr().err
