"""Spendings as they are read: each making once, superseded ones too, and only what is new is read again."""

from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.costs.spent import spent
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.chain import Chain
from mlops_assets.evidence.records import BrokenEvidence, Envelope, Place, Recipe, canonical, digest
from mlops_assets.evidence.store import replace


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def made(archive: Archive, code: str, *inputs: Held, stage: str = "dataset", product: str = "houses") -> Held:
    """A table of three rows, made with some code."""
    recipe = Recipe(place=Place(product=product, stage=stage, partition="all|all"), code=code)
    rows = pl.DataFrame({"x": [1, 2, len(code)]})
    built = Built(outputs={"rows": rows, "note": (b"12345", "txt")}, gpu_s=1.5)
    return archive.make(recipe, [each.as_input() for each in inputs], lambda: built, run_id=f"run of {code}")


def test_each_record_is_there_also_one_that_another_has_replaced(archive: Archive):
    first, second = made(archive, "a"), made(archive, "b")
    made(archive, "b")  # skipped
    made(archive, "c", product="flats")

    found = spent(archive, "houses")

    assert [each.record for each in found] == [first.id, second.id]
    assert [each.run for each in found] == ["run of a", "run of b"]


def test_a_spending_has_rows_bytes_and_times_of_its_envelope(archive: Archive):
    source = made(archive, "source")
    features = made(archive, "b", source, source, stage="features")

    below, above = spent(archive, "houses")

    assert (below.rows_in, below.rows_out, above.rows_in) == (0, 3, 6)
    assert above.inputs == [source.id] * 2
    assert above.gpu_s == 1.5
    assert above.bytes == sum(file.size for file in features.envelope.files) > 5


def test_only_new_lines_of_the_journal_are_read_again(archive: Archive):
    first = made(archive, "a")
    assert len(spent(archive, "houses")) == 1
    (archive.home / "records" / first.id[:2] / first.id).unlink()  # whoever reads it again fails
    second = made(archive, "b")

    assert [each.record for each in spent(Archive(archive.home), "houses")] == [first.id, second.id]


@pytest.mark.parametrize("kept", [b"", b"[1,2", b'[5,"x",[]]', b'[999999,"x",[]]'])
def test_what_is_kept_can_be_lost_or_damaged(archive: Archive, kept: bytes):
    made(archive, "a")
    before = spent(archive, "houses")
    (archive.home / "costs" / "houses.json").write_bytes(kept)

    assert spent(archive, "houses") == before


def test_another_journal_is_read_from_its_beginning(archive: Archive):
    made(archive, "a")
    made(archive, "b")
    spent(archive, "houses")
    archive.journal.path.unlink()
    other = Archive(archive.home)
    third = made(other, "c")

    assert [each.record for each in spent(other, "houses")] == [third.id]


def test_without_a_journal_nothing_was_spent(archive: Archive):
    assert spent(archive, "houses") == []


def test_a_damaged_envelope_is_named(archive: Archive):
    made(archive, "a")
    [envelope] = [path for path in (archive.home / "envelopes").rglob("*") if path.is_file()]
    envelope.write_bytes(envelope.read_bytes().replace(b"cpu_s", b"cpu_t"))

    with pytest.raises(BrokenEvidence, match=f"{envelope}: changed"):
        spent(archive, "houses")


def test_a_line_that_was_removed_is_noticed(archive: Archive):
    for code in "abc":
        made(archive, code)
    lines = archive.journal.path.read_bytes().splitlines(keepends=True)
    archive.journal.path.write_bytes(lines[0] + lines[2])

    with pytest.raises(BrokenEvidence, match=r"journal\.jsonl: changed, removed or out of order"):
        spent(archive, "houses")


def test_an_envelope_from_before_costs_were_measured_counts_without_times(archive: Archive):
    held = made(archive, "a")
    old = {name: value for name, value in msgspec.to_builtins(held.envelope).items() if name != "cost"}
    sealed = canonical(old)
    replace(archive.home / "envelopes" / digest(sealed)[:2] / digest(sealed), sealed)
    archive.journal.path.unlink()
    journal = Chain(archive.journal.path)
    with journal.writing():
        journal.append({"record": held.id, "envelope": digest(sealed), "place": str(held.record.place)})

    [found] = spent(archive, "houses")

    assert msgspec.json.decode(sealed, type=Envelope).cost is None
    assert (found.measured, found.cpu_s, found.rows_out) == (False, 0, 3)
    assert found.bytes > 0
