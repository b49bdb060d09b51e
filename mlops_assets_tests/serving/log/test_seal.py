"""Sealing: which windows, which rows, and when the files may go."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mlops_assets.evidence.store import replace
from mlops_assets.serving.log.ids import Ids, parse, text, to_ms
from mlops_assets.serving.log.index import canonical
from mlops_assets.serving.log.seal import (
    closed_windows,
    drop_sealed,
    is_closed,
    log_digests,
    mark_sealed,
    seal,
    unsealed,
)
from mlops_assets.serving.log.sealed import FEATURE, INPUT
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets_tests.serving.loans import LOANS

DAY = "2026-01-06"
NOON = datetime(2026, 1, 6, 12, tzinfo=UTC)
NIGHT = datetime(2026, 1, 7, tzinfo=UTC)
COLUMNS = msgspec.Raw(
    msgspec.msgpack.encode(Columns([("age", "int"), ("job", "str")], [("job", "str"), ("age", "float")]))
)


def request(*rows: tuple[str, int | None]) -> Body:
    """A request with a row for each (segment, age), each segment's rows in a part of their own."""
    parts = [
        Part(segment, 1, COLUMNS, [Row(at if len(rows) > 1 else None, None, age or 0, (age, None), None)])
        for at, (segment, age) in enumerate(rows)
    ]
    return Body(5, "d1", parts)


@pytest.fixture
def ids():
    return Ids()


@pytest.fixture
def write(tmp_path, ids):
    """Log requests as one worker at noon, and finish its file; returns the ids."""

    def write(writer: str, *bodies: Body) -> list[bytes]:
        log = LogWriter(tmp_path / "log", LOANS.grid, writer)
        made = [ids.new(to_ms(NOON)) for _ in bodies]
        for id_, body in zip(made, bodies, strict=True):
            log.append(id_, body)
        log.close()
        return made

    return write


def finish(folder, segment):
    sealed = seal(folder, DAY, segment)
    mark_sealed(folder, DAY, segment, sealed.digests)


def test_the_workers_of_a_window_are_merged_by_segment_and_sorted(tmp_path, write):
    [a, b] = write("w1", request(("eu", 30)), request(("us", 40), ("eu", None)))
    [c] = write("w0", request(("eu", 50)))

    sealed = seal(tmp_path, DAY, "eu")

    assert sealed.table["inference_id"].to_list() == [text(a), f"{text(b)}.1", text(c)]
    assert sealed.table["input.age"].to_list() == [30, None, 50]
    assert sealed.table["writer"].to_list() == ["w1", "w1", "w0"]
    assert seal(tmp_path, DAY, "us").table["inference_id"].to_list() == [f"{text(b)}.0"]
    assert [(facts.writer, facts.requests, facts.missing) for facts in sealed.writers] == [("w0", 1, 0), ("w1", 2, 0)]


def test_a_column_of_nulls_keeps_its_type(tmp_path, write):
    write("w1", request(("eu", None)))

    schema = seal(tmp_path, DAY, "eu").table.schema

    assert {name: str(dtype) for name, dtype in schema.items() if name.startswith((INPUT, FEATURE))} == {
        "input.age": "Int64",
        "input.job": "String",
        "feature.job": "String",
        "feature.age": "Float64",
    }


def test_an_empty_window_seals_with_no_rows(tmp_path):
    sealed = seal(tmp_path, DAY, "eu")

    assert (sealed.table.height, sealed.writers, sealed.digests) == (0, [], [])
    assert sealed.table.columns[:3] == ["inference_id", "at", "segment"]


def test_lost_frames_are_counted_and_the_others_sealed(tmp_path, write):
    write("w1", *[request(("eu", age)) for age in range(20, 30)])
    path = tmp_path / "log" / DAY / "w1.log"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    sealed = seal(tmp_path, DAY, "eu")

    assert sealed.table.height == 9
    assert sealed.writers[0].missing == 1
    assert sealed.writers[0].skipped > 0


def test_files_go_once_every_segment_has_sealed_them(tmp_path, write):
    [id_] = write("w1", request(("eu", 30), ("us", 40)))

    finish(tmp_path, "eu")
    too_early = drop_sealed(tmp_path, DAY, LOANS.segments)
    finish(tmp_path, "us")
    dropped = drop_sealed(tmp_path, DAY, LOANS.segments)

    assert (too_early, dropped) == ([], ["w1"])
    assert not unsealed(tmp_path, DAY, "eu")
    known = canonical(tmp_path, LOANS.grid, map(parse, (f"{text(id_)}.1", f"{text(id_)}.2", text(id_))))
    assert list(known.values()) == [f"{text(id_)}.1", None, None]


def test_a_file_that_turns_up_later_reopens_the_window_and_adds_to_its_table(tmp_path, write):
    [early] = write("w1", request(("eu", 30)))
    first = seal(tmp_path, DAY, "eu")
    for segment in LOANS.segments:
        finish(tmp_path, segment)
    drop_sealed(tmp_path, DAY, LOANS.segments)
    before = log_digests(tmp_path, DAY, "eu")
    [late] = write("w2", request(("eu", 60)))

    again = unsealed(tmp_path, DAY, "eu")
    second = seal(tmp_path, DAY, "eu", first.table)

    assert again
    assert before != log_digests(tmp_path, DAY, "eu")
    assert second.table["inference_id"].to_list() == [text(early), text(late)]
    assert second.table.filter(inference_id=text(early)).equals(first.table)
    assert len(second.digests) == 2


def test_what_a_recipe_names_is_the_same_before_and_after_the_files_go(tmp_path, write):
    write("w1", request(("eu", 30)))
    before = log_digests(tmp_path, DAY, "eu")

    for segment in LOANS.segments:
        finish(tmp_path, segment)
    drop_sealed(tmp_path, DAY, LOANS.segments)

    assert before == log_digests(tmp_path, DAY, "eu")
    assert len(before) == 1


def test_a_prediction_in_table_and_file_counts_once(tmp_path, write):
    write("w1", request(("eu", 30)))
    first = seal(tmp_path, DAY, "eu")

    second = seal(tmp_path, DAY, "eu", first.table)

    assert second.table.equals(first.table)


def test_a_file_that_grew_since_or_is_still_open_stays(tmp_path, ids):
    log = LogWriter(tmp_path / "log", LOANS.grid, "w1")
    log.append(ids.new(to_ms(NOON)), request(("eu", 30)))
    for segment in LOANS.segments:
        finish(tmp_path, segment)

    while_open = drop_sealed(tmp_path, DAY, LOANS.segments)
    log.append(ids.new(to_ms(NOON)), request(("eu", 31)))
    log.close()
    after_it_grew = drop_sealed(tmp_path, DAY, LOANS.segments)

    assert (while_open, after_it_grew) == ([], [])
    assert unsealed(tmp_path, DAY, "us")
    assert seal(tmp_path, DAY, "eu").table.height == 2


def test_segments_that_drop_files_at_the_same_moment_keep_all_ids(tmp_path, write, monkeypatch):
    def slowly(path, data):
        time.sleep(0.01)  # what it is to be replaced with was read before
        replace(path, data)

    monkeypatch.setattr("mlops_assets.serving.log.index.replace", slowly)
    given = [write(f"w{number}", request(("eu", 30))) for number in range(12)]
    for segment in LOANS.segments:
        finish(tmp_path, segment)

    with ThreadPoolExecutor(4) as pool:
        dropped = [*pool.map(lambda _: drop_sealed(tmp_path, DAY, LOANS.segments), range(4))]

    assert sorted(writer for each in dropped for writer in each) == sorted(f"w{number}" for number in range(12))
    known = canonical(tmp_path, LOANS.grid, [parse(text(id_)) for [id_] in given])
    assert None not in known.values()


@pytest.mark.parametrize("seconds", [-1, 0, 61, 3600, 5 * 24 * 3600])
def test_a_window_is_closed_or_open_whether_it_is_listed_or_asked_for(tmp_path, register, seconds):
    register("w1", since=NOON, until=NIGHT + timedelta(days=1))
    register("w2", since=NOON - timedelta(days=2), until=NIGHT - timedelta(hours=1), beat=NIGHT)
    register("w3", since=NOON, until=NIGHT, clock="replay", stopped=True)
    now = NIGHT + timedelta(seconds=seconds)
    windows = LOANS.grid.keys(NOON - timedelta(days=4), NOON + timedelta(days=9))

    listed = closed(tmp_path, now)

    assert listed == [window for window in windows if is_closed(tmp_path, LOANS.grid, window, now, 60)]


@pytest.fixture
def register(tmp_path):
    """Put a worker's file in place, last touched at `beat`."""

    def register(writer, *, since, until, beat=NIGHT, clock="server", stopped=False):
        worker = Worker(writer=writer, pid=1, url="", clock=clock, started=since, since=since, stopped=stopped)
        registration = Registration(tmp_path, worker)
        registration.beat(until)
        path = tmp_path / "workers" / f"{writer}.json"
        os.utime(path, (beat.timestamp(), beat.timestamp()))

    return register


def closed(tmp_path, now):
    return closed_windows(tmp_path, LOANS.grid, now, 60)


def test_a_window_is_closed_once_every_worker_has_said_so(tmp_path, register):
    register("w1", since=NOON, until=NIGHT)
    register("w2", since=NOON, until=NIGHT - timedelta(seconds=1))
    now = NIGHT + timedelta(seconds=5)

    assert closed(tmp_path, now) == []
    register("w2", since=NOON, until=NIGHT)
    assert closed(tmp_path, now) == [DAY]


@pytest.mark.parametrize(("silent_s", "expected"), [(59, []), (61, [DAY])])
def test_a_worker_that_is_silent_for_the_grace_is_not_waited_for(tmp_path, register, silent_s, expected):
    register("w1", since=NOON, until=NOON)

    assert closed(tmp_path, NIGHT + timedelta(seconds=silent_s)) == expected


def test_a_worker_that_has_stopped_is_not_waited_for(tmp_path, register):
    register("w1", since=NOON, until=NOON, stopped=True)

    assert closed(tmp_path, NIGHT + timedelta(seconds=1)) == [DAY]


def test_windows_begin_with_the_first_worker_and_empty_ones_are_among_them(tmp_path, register):
    register("w1", since=NOON, until=NOON + timedelta(days=4), beat=NOON + timedelta(days=4))

    assert closed(tmp_path, NOON + timedelta(days=4)) == [DAY, "2026-01-07", "2026-01-08", "2026-01-09"]


def test_no_worker_means_no_window(tmp_path):
    assert closed(tmp_path, NIGHT) == []


def test_a_replay_closes_windows_by_its_own_clock(tmp_path, register):
    wall = datetime(2026, 11, 1, tzinfo=UTC)
    register("w1", since=NOON, until=NIGHT + timedelta(days=1), clock="replay", beat=wall)
    register("w2", since=NOON, until=NIGHT, clock="replay", beat=wall)

    assert closed(tmp_path, wall) == [DAY]


def test_a_dead_replay_leaves_its_ended_windows_to_be_sealed(tmp_path, register):
    wall = datetime(2026, 11, 1, tzinfo=UTC)
    register("w1", since=NOON, until=NIGHT + timedelta(hours=1), clock="replay", beat=wall)

    assert closed(tmp_path, wall + timedelta(days=90)) == [DAY]
