"""What has not changed is not read again, and what has is."""

import os
from pathlib import Path

import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.product import Stage
from mlops_assets.retraining.loop_state import opened
from mlops_assets.retraining.reading import Reading
from mlops_assets.settings import Settings
from mlops_assets_tests.retraining.bath import PRODUCT, acted, judged


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of heads and records that are read from disk, from now on."""
    names: list[str] = []
    text, held = Path.read_text, Archive.held
    monkeypatch.setattr(Path, "read_text", lambda path, *_, **__: names.append(path.name) or text(path))
    monkeypatch.setattr(Archive, "held", lambda archive, record: names.append(record) or held(archive, record))
    return names


def test_only_new_and_replaced_heads_are_read_again(settings: Settings, read: list[str]):
    records = [judged(settings, f"2026-01-{day}") for day in range(20, 25)]
    reading = opened(settings, PRODUCT)
    for record in records:
        reading.judged(record)
    read.clear()

    reading.refresh()
    again = list(read)
    new, replaced = judged(settings, "2026-01-25"), judged(settings, "2026-01-20", again=1)
    read.clear()
    reading.refresh()
    changed = [reading.judged(record) for record in reading.heads(Stage.DRIFT, "bath").values()]

    assert again == []
    assert sorted(read) == sorted(["bath|2026-01-25", "bath|2026-01-20", new, replaced])
    assert len(changed) == 6
    assert reading.heads(Stage.DRIFT, "bath")["2026-01-20"] == replaced


def test_a_folder_that_has_rested_is_not_listed_again_until_it_changes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    judged(settings, "2026-01-20")
    folder = settings.home / "heads" / "houses" / "drift"
    os.utime(folder, (1, 1))
    listed: list[Path] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))

    reading = opened(settings, PRODUCT)
    reading.refresh()
    rested = listed.count(folder)
    judged(settings, "2026-01-21")
    for _ in range(2):
        reading.refresh()

    assert (rested, listed.count(folder)) == (1, 3)  # so soon after a change it is listed each time
    assert set(reading.heads(Stage.DRIFT, "bath")) == {"2026-01-20", "2026-01-21"}


def test_a_head_that_is_gone_is_forgotten(settings: Settings):
    judged(settings, "2026-01-20")
    reading = opened(settings, PRODUCT)
    (settings.home / "heads" / "houses" / "drift" / "bath|2026-01-20").unlink()

    reading.refresh()

    assert reading.heads(Stage.DRIFT, "bath") == {}


def test_a_stage_that_was_never_made_has_no_heads(tmp_path: Path):
    reading = Reading(tmp_path, PRODUCT)
    reading.refresh()

    assert reading.heads(Stage.DRIFT, "bath") == {}
    assert reading.acts() == []


def test_acts_are_read_as_they_come(settings: Settings):
    reading = opened(settings, PRODUCT)
    before = len(reading.acts())
    acted(settings, "pause", "audit")

    assert [act.reason for act in reading.acts()[before:]] == ["audit"]


def test_a_changed_record_of_a_verdict_is_broken_evidence(settings: Settings):
    record = judged(settings, "2026-01-20")
    path = settings.home / "records" / record[:2] / record
    path.write_bytes(path.read_bytes().replace(b"drift", b"quiet"))

    with pytest.raises(BrokenEvidence, match=record):
        opened(settings, PRODUCT).judged(record)
