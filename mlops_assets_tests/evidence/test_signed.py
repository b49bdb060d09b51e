"""A personal key signs an act whole: whatever is changed of it afterwards shows."""

import stat
from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.ledger import Act, Ledger
from mlops_assets.evidence.signed import new_key, person, proof_of, public_text, read_key, sign


@pytest.fixture
def act() -> Act:
    return Act(
        kind="approve",
        product="loans",
        segment="north",
        version=3,
        record="a" * 64,
        by="ana",
        reason="tested",
        at="2026-01-20T00:00:00.000+00:00",
        facts={"role": "business", "until": "2026-02-03T00:00:00.000+00:00"},
    )


def test_a_key_is_only_its_owners_and_is_never_overwritten(tmp_path: Path):
    file = tmp_path / "ana.key"

    public = new_key(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public == public_text(read_key(file))
    with pytest.raises(ValueError, match=r"ana\.key is there already; a key is never overwritten"):
        new_key(file)
    assert public == public_text(read_key(file))


def test_a_key_that_others_may_read_and_what_is_no_key_are_refused(tmp_path: Path):
    new_key(tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o644)
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "note.txt").chmod(0o600)

    with pytest.raises(ValueError, match=r"others may read or change this key \(mode 644\); right is chmod 600"):
        read_key(tmp_path / "open.key")
    with pytest.raises(ValueError, match=r"note\.txt is no private key; mlops-assets key NAME --out FILE makes one"):
        read_key(tmp_path / "note.txt")
    with pytest.raises(FileNotFoundError):
        read_key(tmp_path / "missing.key")


def test_a_signature_holds_for_the_whole_act_also_after_the_ledger_has_kept_it(tmp_path: Path, act: Act):
    new_key(tmp_path / "key")
    ledger = Ledger(tmp_path / "ledger.jsonl")

    ledger.add(sign(act, read_key(tmp_path / "key")))

    [kept] = Ledger(tmp_path / "ledger.jsonl").acts("loans")
    assert proof_of(kept) == "signed"
    for field, other in {"kind": "reject", "version": 4, "record": "b" * 64, "by": "joe", "at": "2026-02-01"}.items():
        assert proof_of(msgspec.structs.replace(kept, **{field: other})) == "broken", field
    for field, other in {"role": "risk", "until": "2099-01-01T00:00:00+00:00", "more": 1}.items():
        assert proof_of(msgspec.structs.replace(kept, facts={**kept.facts, field: other})) == "broken", field


def test_another_key_cannot_take_over_an_act(tmp_path: Path, act: Act):
    for name in ("ana", "eve"):
        new_key(tmp_path / name)
    signed, eve = sign(act, read_key(tmp_path / "ana")), public_text(read_key(tmp_path / "eve"))

    assert proof_of(msgspec.structs.replace(signed, facts={**signed.facts, "key": eve})) == "broken"


def test_without_a_key_an_act_is_asserted_and_a_bare_name_is_a_lie(act: Act):
    assert proof_of(msgspec.structs.replace(act, by=person())) == "asserted"
    assert proof_of(act) == "broken"
