"""Evidence: the same recipe is made once, a flipped byte is named, a crash leaves nothing half seen."""

from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import BrokenEvidence, Check, Place, Recipe

PLACE = Place(product="loans", stage="dataset", partition="north|2026-01-05")


def recipe(**params: int) -> Recipe:
    return Recipe(place=PLACE, params=dict(params), code="c0de")


def make(archive: Archive, *, passed: bool = True, **params: int) -> Held:
    frame = pl.DataFrame({"key": ["a", "b"], "x": [1.5, None]})
    check = Check(name="schema", passed=passed)
    return archive.make(recipe(**params), [], lambda: Built(outputs={"rows": frame}, checks=(check,)))


def read_anew(home: Path, record: str) -> pl.DataFrame:
    archive = Archive(home)
    return archive.table(archive.held(record), "rows")


def test_the_same_recipe_is_made_once(tmp_path: Path):
    archive = Archive(tmp_path)

    first, second = make(archive, windows=1), make(archive, windows=1)

    assert (first.skipped, second.skipped) == (False, True)
    assert first.id == second.id
    assert archive.head(PLACE).id == first.id


def test_another_parameter_is_another_recipe_over_the_same_content(tmp_path: Path):
    archive = Archive(tmp_path)

    first, second = make(archive, windows=1), make(archive, windows=2)

    assert second.skipped is False
    assert first.id != second.id
    assert first.record.root == second.record.root


def test_a_failed_check_is_kept_as_head_but_made_again(tmp_path: Path):
    archive = Archive(tmp_path)

    first, second = make(archive, passed=False), make(archive, passed=False)

    assert archive.head(PLACE).record.failed == ["schema"]
    assert second.skipped is False
    assert first.id == second.id


def test_a_moved_store_changes_no_recipe(tmp_path: Path):
    make(Archive(tmp_path / "here"), windows=1)
    (tmp_path / "here").rename(tmp_path / "there")

    assert make(Archive(tmp_path / "there"), windows=1).skipped is True


def test_every_stored_file_is_compared_before_it_is_read(tmp_path: Path):
    held = make(Archive(tmp_path))
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.parts[-3] in ("objects", "records", "envelopes")]

    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[:7] + bytes([whole[7] ^ 1]) + whole[8:])
        with pytest.raises(BrokenEvidence) as broken:
            read_anew(tmp_path, held.id)
        assert path.name.split(".")[0][:12] in str(broken.value) or path.suffix == ".envelope"
        path.write_bytes(whole)
    assert len(files) == 4


def test_a_changed_journal_line_is_named(tmp_path: Path):
    make(Archive(tmp_path), windows=1)
    make(Archive(tmp_path), windows=2)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"number":0', b'"number":7'))

    with pytest.raises(BrokenEvidence, match=r"journal.jsonl:1: changed"):
        Archive(tmp_path).journal.links()


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize("bit", [0x07, 0x20, 0x80])
def test_a_changed_byte_of_a_chain_is_seen_wherever_it_is(tmp_path: Path, line: int, bit: int):
    make(Archive(tmp_path), windows=1)
    make(Archive(tmp_path), windows=2)
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    end = len(whole.splitlines(keepends=True)[0]) if line == 0 else len(whole)

    for at in (end - 1, end - 2, end - 100):
        journal.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        with pytest.raises(BrokenEvidence, match=r"journal\.jsonl:"):
            Archive(tmp_path).journal.links()


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_a_changed_head_is_named(tmp_path: Path, bit: int):
    archive = Archive(tmp_path)
    make(archive)
    [head] = tmp_path.glob("heads/*/*/*")
    whole = head.read_bytes()
    head.write_bytes(whole[:5] + bytes([whole[5] ^ bit]) + whole[6:])

    with pytest.raises(BrokenEvidence, match="changed, or missing is the record that it names") as broken:
        archive.head(PLACE)
    assert broken.value.path == str(head)
    with pytest.raises(BrokenEvidence):
        archive.heads("loans", "dataset")


def test_a_damaged_file_is_mended_when_it_is_made_again(tmp_path: Path):
    held = make(Archive(tmp_path))
    stored = tmp_path / held.file("rows").address
    whole = stored.read_bytes()
    stored.write_bytes(whole[:10])

    assert make(Archive(tmp_path)).skipped is False
    assert stored.read_bytes() == whole


def test_a_torn_last_line_is_cut_off_by_the_next_writer(tmp_path: Path):
    make(Archive(tmp_path), windows=1)
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"number":1,"prev')

    make(Archive(tmp_path), windows=2)

    assert len(Archive(tmp_path).journal.links()) == 2


def test_the_root_sees_one_changed_cell_and_survives_parquet(tmp_path: Path):
    frame = pl.DataFrame(
        {
            "k": [f"key-{i}" * (i % 5) for i in range(3000)],
            "v": [i / 7 for i in range(3000)],
            "b": [None, True, False] * 1000,
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")

    assert content_root(pl.read_parquet(tmp_path / "t.parquet")) == content_root(frame)
    assert content_root(pl.concat([frame[:1234], frame[1234:]], rechunk=False)) == content_root(frame)
    changed = frame.with_columns(v=pl.when(pl.int_range(pl.len()) == 2999).then(pl.col("v") + 1e-12).otherwise("v"))
    assert content_root(changed) != content_root(frame)
    assert content_root(frame.with_columns(v=pl.lit(0.0))) == content_root(frame.with_columns(v=pl.lit(-0.0)))
