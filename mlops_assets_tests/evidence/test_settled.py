"""Notes of what is done: they may be lost at any time, and then say nothing."""

from pathlib import Path

import pytest

from mlops_assets.evidence.settled import Settled


def test_a_key_is_done_in_the_state_in_which_it_was_noted_and_in_no_other(tmp_path: Path):
    first = Settled(tmp_path / "notes.json")
    first.note("a", "1")
    first.save()

    again = Settled(tmp_path / "notes.json")

    assert [again.holds("a", "1"), again.holds("a", "2"), again.holds("b", "1")] == [True, False, False]


@pytest.mark.parametrize("left", [b"", b'{"a": "1"', b'["a"]', b'{"a": 1}', b"\xff"])
def test_notes_that_cannot_be_read_say_nothing_and_are_written_anew(tmp_path: Path, left: bytes):
    (tmp_path / "notes.json").write_bytes(left)
    settled = Settled(tmp_path / "notes.json")
    before = settled.holds("a", "1")
    settled.note("a", "1")
    settled.save()

    assert (before, Settled(tmp_path / "notes.json").holds("a", "1")) == (False, True)


def test_a_look_at_thousands_that_is_killed_keeps_most_of_its_notes(tmp_path: Path):
    settled = Settled(tmp_path / "notes.json")

    for number in range(2_500):
        settled.note(str(number), "done")

    kept = Settled(tmp_path / "notes.json")
    assert (kept.holds("1999", "done"), kept.holds("2499", "done")) == (True, False)


def test_of_two_who_note_at_once_the_last_one_is_right_about_what_it_has_seen(tmp_path: Path):
    one, other = Settled(tmp_path / "notes.json"), Settled(tmp_path / "notes.json")
    one.note("a", "1")
    one.save()
    other.note("b", "1")
    other.save()

    kept = Settled(tmp_path / "notes.json")
    assert (kept.holds("a", "1"), kept.holds("b", "1")) == (False, True)  # a is looked at again, that is all


def test_who_has_nothing_new_writes_nothing(tmp_path: Path):
    Settled(tmp_path / "notes.json").save()

    assert list(tmp_path.iterdir()) == []
