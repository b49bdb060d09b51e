"""An answer leaves once it is kept as declared: forced in groups, refused or counted, and no slow disk holds others."""

import asyncio
import errno
import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mlops_assets.serving.log import durable
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.frames import LogRefused, mapped, read_frames
from mlops_assets.serving.log.ids import Ids, moment, to_ms
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets_tests.serving.loans import LOANS

NOON = to_ms(datetime(2026, 1, 6, 12, tzinfo=UTC))
NIGHT = to_ms(datetime(2026, 1, 7, tzinfo=UTC))
COLUMNS = msgspec.Raw(msgspec.msgpack.encode(Columns([("age", "int")], [("age", "float")])))
BODY = Body(12, "d1", [Part("eu", 3, COLUMNS, [Row(None, "k", 0.5, (40,), None)])])
FOREVER_S = 30


class Disk:
    """What the operating system's calls do: as ever, unless a test says otherwise. It counts the forced writes."""

    def __init__(self, monkeypatch):
        self.syncs = 0
        self.write, self.fdatasync = os.write, os.fdatasync
        self.before_write, self.before_sync = [], []
        monkeypatch.setattr(os, "write", self._write)
        monkeypatch.setattr(os, "fdatasync", self._fdatasync)

    def _write(self, fd, data):
        for act in self.before_write:
            if (written := act(fd, data)) is not None:
                return written
        return self.write(fd, data)

    def _fdatasync(self, fd):
        self.syncs += 1
        for act in self.before_sync:
            act()
        self.fdatasync(fd)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def opened(tmp_path):
    """Make a log in the test's folder."""

    def opened(*, sync=False, when_full="refuse", patience_s=FOREVER_S):
        writer = LogWriter(tmp_path / "log", LOANS.grid, "w1", when_full=when_full, sync=sync)
        return DurableLog(writer, sync=sync, patience_s=patience_s)

    return opened


def read(tmp_path, window="2026-01-06"):
    return read_frames(mapped(tmp_path / "log" / window / "w1.log"))


async def outcome(kept):
    """What became of an answer: kept, unlogged, or refused with this."""
    try:
        found = kept if isinstance(kept, bool) else await kept
    except LogRefused as refused:
        return str(refused)
    return "kept" if found else "unlogged"


async def answered(log, id_):
    """What becomes of an answer that is alone in its turn."""
    try:
        return await outcome(log.append(id_, BODY))
    except LogRefused as refused:
        return str(refused)


def full(fd, data):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_answers_that_need_no_force_are_kept_at_once(tmp_path, opened, disk):
    log, ids = opened(), Ids()

    kept = [log.append(ids.new(NOON), BODY) for _ in range(5)]
    log.close()

    assert (kept, disk.syncs, len(read(tmp_path).frames)) == ([True] * 5, 0, 5)


def test_answers_of_one_turn_and_those_that_come_meanwhile_share_a_forced_write_each(tmp_path, opened, disk):
    log, ids = opened(sync=True), Ids()
    forcing, free = threading.Event(), threading.Event()
    disk.before_sync.append(lambda: (forcing.set(), free.wait(FOREVER_S)))

    async def life():
        early = [log.append(ids.new(NOON), BODY) for _ in range(50)]
        await asyncio.to_thread(forcing.wait, FOREVER_S)
        late = [log.append(ids.new(NOON), BODY) for _ in range(30)]
        waiting = log.waiting, [each.done() for each in early]
        free.set()
        return waiting, [await outcome(each) for each in (*early, *late)]

    (waiting, done), became = asyncio.run(life())
    log.close()

    assert (waiting, any(done), disk.syncs) == (80, False, 2)
    assert became == ["kept"] * 80
    assert [frame.seq for frame in read(tmp_path).frames] == list(range(80))


def test_a_new_file_s_name_is_forced_to_the_platter_too(opened, monkeypatch, tmp_path):
    forced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (forced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    log = opened(sync=True)

    assert asyncio.run(_one(log)) == "kept"
    log.close()

    assert forced == [str(tmp_path / "log" / "2026-01-06"), str(tmp_path / "log"), str(tmp_path)]


async def _one(log, ms=NOON):
    return await outcome(log.append(Ids().new(ms), BODY))


def test_a_disk_that_fails_to_force_refuses_those_answers_and_no_later_one(opened, disk):
    log, ids = opened(sync=True), Ids()
    broken = [OSError(errno.EIO, "Input/output error")]

    def fail_once():
        if broken:
            raise broken.pop()

    disk.before_sync.append(fail_once)

    async def life():
        first = [await outcome(each) for each in [log.append(ids.new(NOON), BODY) for _ in range(3)]]
        return first, await outcome(log.append(ids.new(NOON), BODY))

    first, later = asyncio.run(life())
    log.close()

    assert [each.endswith("Input/output error") for each in first] == [True] * 3
    assert later == "kept"


def test_a_slow_disk_holds_up_no_other_request_and_is_written_to_directly_once_it_is_fast(opened, disk, monkeypatch):
    log, ids = opened(), Ids()
    monkeypatch.setattr(durable, "SLOW_NS", 5_000_000)
    hold, held = threading.Event(), threading.Event()

    def slow(fd, data):
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.01)  # this one is found to be slow
        else:
            held.set()
            hold.wait(FOREVER_S)

    disk.before_write.append(slow)

    async def life():
        first = log.append(ids.new(NOON), BODY)
        second = log.append(ids.new(NOON), BODY)
        await asyncio.to_thread(held.wait, FOREVER_S)  # the loop is free while the disk is not
        stuck = second.done()
        disk.before_write.clear()
        hold.set()
        became = [await outcome(each) for each in (first, second)]
        third = log.append(ids.new(NOON), BODY)
        became.append(await outcome(third))
        return became, stuck, log.append(ids.new(NOON), BODY)

    became, stuck, fast_again = asyncio.run(life())
    log.close()

    assert (became, stuck, fast_again) == (["kept"] * 3, False, True)


@pytest.mark.parametrize(
    ("when_full", "expected"), [("refuse", "the disk has not taken it in 0.05 s"), ("serve", "unlogged")]
)
def test_no_answer_waits_longer_for_the_disk_than_a_request_may_take(opened, disk, when_full, expected):
    log, ids = opened(sync=True, when_full=when_full, patience_s=0.05), Ids()
    free, forcing = threading.Event(), threading.Event()
    disk.before_sync.append(lambda: (forcing.set(), free.wait(FOREVER_S)))

    async def life():
        forced = log.append(ids.new(NOON), BODY)
        await asyncio.to_thread(forcing.wait, FOREVER_S)
        queued = log.append(ids.new(NOON), BODY)
        became = [await outcome(forced), await outcome(queued)]
        free.set()
        return became, await outcome(log.append(ids.new(NOON), BODY))

    became, afterwards = asyncio.run(life())
    log.close()

    assert (became, afterwards) == ([expected] * 2, "kept")
    assert log.unlogged == (2 if when_full == "serve" else 0)


@pytest.mark.parametrize("sync", [False, True])
def test_while_the_disk_is_full_answers_are_refused_and_none_is_lost_when_it_is_back(tmp_path, opened, disk, sync):
    log, ids = opened(sync=sync), Ids()

    async def some(count):
        return [await answered(log, ids.new(NOON)) for _ in range(count)]

    before = asyncio.run(some(3))
    disk.before_write.append(full)
    while_full = asyncio.run(some(3))
    disk.before_write.clear()
    after = asyncio.run(some(3))
    log.close()

    assert (before, after) == (["kept"] * 3, ["kept"] * 3)
    assert all(each.endswith("No space left on device") for each in while_full)
    reading = read(tmp_path)
    assert ([frame.seq for frame in reading.frames], reading.missing, log.unlogged) == ([0, 1, 2, 3, 4, 5], 0, 0)


@pytest.mark.parametrize("sync", [False, True])
def test_answers_that_are_served_unlogged_are_counted_and_missed_by_whoever_reads_the_log(tmp_path, opened, disk, sync):
    log, ids = opened(sync=sync, when_full="serve"), Ids()

    async def some(count):
        return [await answered(log, ids.new(NOON)) for _ in range(count)]

    before = asyncio.run(some(2))
    disk.before_write.append(full)
    while_full = asyncio.run(some(3))
    disk.before_write.clear()
    after = asyncio.run(some(2))
    log.close()

    assert (before, while_full, after) == (["kept"] * 2, ["unlogged"] * 3, ["kept"] * 2)
    assert (log.unlogged, read(tmp_path).missing) == (3, 3)


def test_a_window_is_not_called_closed_while_an_answer_of_it_waits_for_the_disk(tmp_path, opened, disk):
    log, ids = opened(sync=True), Ids()
    free, forcing = threading.Event(), threading.Event()
    disk.before_sync.append(lambda: (forcing.set(), free.wait(FOREVER_S)))

    async def life():
        kept = log.append(ids.new(NIGHT - 5), BODY)
        await asyncio.to_thread(forcing.wait, FOREVER_S)
        ids.advance(NIGHT + 10)
        meanwhile = log.close_until(NIGHT + 10)
        free.set()
        return meanwhile, await outcome(kept), log.close_until(NIGHT + 20)

    meanwhile, became, afterwards = asyncio.run(life())

    assert (moment(meanwhile), became) == (moment(NIGHT) - timedelta(milliseconds=5), "kept")
    assert (afterwards, read(tmp_path).closed) == (NIGHT + 20, True)


def test_a_group_over_the_end_of_a_window_is_in_both_files(tmp_path, opened):
    log, ids = opened(sync=True), Ids()

    async def life():
        kept = [log.append(ids.new(NIGHT + ms), BODY) for ms in (-2, -1, 0, 1)]
        return [await outcome(each) for each in kept]

    assert asyncio.run(life()) == ["kept"] * 4
    log.close()

    found = [read(tmp_path, window) for window in ("2026-01-06", "2026-01-07")]
    assert [[frame.seq for frame in each.frames] for each in found] == [[0, 1], [2, 3]]
    assert all(each.closed for each in found)


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_disk_does_an_acknowledged_answer_is_in_the_log_exactly_once(tmp_path, opened, disk, seed, sync):
    dice, log, ids = random.Random(seed), opened(sync=sync), Ids()

    def moody(fd, data):
        mood = dice.random()
        if mood < 0.1:
            full(fd, data)
        if mood < 0.3:
            return disk.write(fd, data[: dice.randrange(1, len(data))])
        return None

    def sulk():
        if dice.random() < 0.1:
            raise OSError(errno.EIO, "Input/output error")

    def stuck(fd, length):
        if dice.random() < 0.3:
            raise OSError(errno.EIO, "Input/output error")
        truncate(fd, length)

    disk.before_write.append(moody)
    disk.before_sync.append(sulk)
    truncate = os.ftruncate

    async def life():
        became = {}
        for turn in range(60):
            made = [ids.new(NOON + turn) for _ in range(dice.randrange(1, 5))]
            kept = []
            for id_ in made:
                try:
                    kept.append((id_, log.append(id_, BODY)))
                except LogRefused:
                    became[id_] = "refused"
            for id_, each in kept:
                became[id_] = await outcome(each)
        return became

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "ftruncate", stuck)
        became = asyncio.run(life())
    disk.before_write.clear()
    log.close()

    logged = [frame.id for frame in read(tmp_path).frames]
    acknowledged = {id_ for id_, each in became.items() if each == "kept"}
    assert len(logged) == len(set(logged))
    assert acknowledged <= set(logged)
    assert 20 < len(acknowledged) < len(became)
