"""The ledger: two racing promotions, one wins; versions belong to one record."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.evidence.ledger import Act, ActKind, Conflict, Ledger
from mlops_assets.evidence.records import BrokenEvidence


def act(version: int, kind: ActKind = "promote", record: str = "r") -> Act:
    return Act(
        kind=kind,
        product="loans",
        segment="north",
        version=version,
        record=record,
        by="gate",
        reason="better",
        at="2026",
    )


def promote(path: Path, version: int) -> str:
    try:
        Ledger(path).move_champion(act(version), expected=None)
    except Conflict as conflict:
        return str(conflict)
    return "won"


def test_of_racing_promotions_one_wins(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"

    with ProcessPoolExecutor(4) as pool:
        results = list(pool.map(promote, [path] * 8, range(1, 9)))

    assert results.count("won") == 1
    assert Ledger(path).champion("loans", "north").version == results.index("won") + 1
    assert len(Ledger(path).chain.links()) == 1


def test_a_promotion_against_an_old_champion_is_refused(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.move_champion(act(1), expected=None)
    ledger.move_champion(act(2), expected=1)

    with pytest.raises(Conflict, match="the champion is 2, expected 1"):
        ledger.move_champion(act(3), expected=1)


def test_before_a_champion_is_the_one_before_it_first_was(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    before = [ledger.predecessor("loans", "north")]
    for each in (act(1), act(2), act(3), act(2, "rollback"), act(1, "rollback")):
        ledger.add(each)
        before.append(ledger.predecessor("loans", "north"))

    assert before == [None, None, 1, 2, 1, None]


def test_a_version_belongs_to_one_record(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.register(act(1, "register", "a"))

    assert ledger.register(act(5, "register", "a")).version == 1
    with pytest.raises(Conflict, match="loans@1 is record a, not b"):
        ledger.register(act(1, "register", "b"))


def test_an_act_is_converted_once_and_what_others_add_is_seen(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.add(act(1))
    first = ledger.acts("loans")

    Ledger(path).add(act(2))
    later = ledger.acts("loans")

    assert later == [act(1), act(2)]
    assert later[0] is first[0]
    assert first == [act(1)]  # what was given away stays as it was
    path.unlink()
    assert ledger.acts("loans") == []
    Ledger(path).add(act(3))
    assert ledger.acts("loans") == [act(3)]


def test_each_changed_bit_of_a_line_is_noticed(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    for version in (1, 2, 3):
        ledger.add(act(version))
    whole = path.read_bytes()
    start, end = whole.index(b"\n") + 1, whole.rindex(b"\n", 0, -1)

    for at in range(start, end):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BrokenEvidence, match=r"ledger.jsonl:[23]: "):
            Ledger(path).acts("loans")
