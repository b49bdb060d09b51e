"""The log's file format survives cuts, flips and full disks."""

import random
import struct
import subprocess
import sys
import zlib

import pytest

from mlops_assets.serving.log.frames import (
    CLOSING,
    MAGIC,
    OPENING,
    FrameFile,
    LogRefused,
    find_frame,
    mapped,
    pack,
    read_frames,
)
from mlops_assets.serving.log.ids import Ids


@pytest.fixture(scope="module")
def written():
    """A closed file of 50 frames: bytes, the ids in order, where each frame starts."""
    ids, made, starts, data = Ids(), [], [], pack(0, OPENING)
    for seq in range(50):
        made.append(ids.new(seq))
        starts.append(len(data))
        data += pack(seq, made[-1], b"body %d" % seq)
    return data + pack(50, CLOSING), made, starts


def test_frames_come_back_as_they_were_written(written):
    data, made, _ = written

    reading = read_frames(data)

    assert [(frame.seq, frame.id, frame.body) for frame in reading.frames] == [
        (seq, id_, b"body %d" % seq) for seq, id_ in enumerate(made)
    ]
    assert (reading.missing, reading.skipped, reading.torn, reading.closed) == (0, 0, 0, True)


def test_any_cut_loses_only_the_frame_that_it_hits(written):
    data, _, starts = written

    for end in range(len(data)):
        reading = read_frames(data[:end])

        whole = sum(start < end for start in starts[1:]) if end >= starts[0] else 0
        assert len(reading.frames) - whole in (0, 1)
        assert reading.missing == 0
        assert not reading.closed


def test_reading_goes_on_after_damage_and_counts_it(written):
    data, _, starts = written
    damaged = bytearray(data)
    damaged[starts[10] + 40] ^= 1
    damaged[starts[20] : starts[22]] = b""

    reading = read_frames(bytes(damaged))

    assert [frame.seq for frame in reading.frames] == [seq for seq in range(50) if seq not in (10, 20, 21)]
    assert (reading.missing, reading.torn) == (3, 0)
    assert reading.skipped == starts[11] - starts[10]


def test_no_single_bit_flip_is_read_as_another_frame(written):
    data, _, _ = written
    right = set(read_frames(data).frames)
    flips = random.Random(0).sample(range(len(data) * 8), 300)

    for flip in flips:
        damaged = bytearray(data)
        damaged[flip // 8] ^= 1 << flip % 8
        assert set(read_frames(bytes(damaged)).frames) <= right


def test_losing_the_last_frames_shows_in_the_closing_one(written):
    data, _, starts = written
    closing = pack(50, CLOSING)

    reading = read_frames(data[: starts[48]] + closing)

    assert (reading.missing, reading.closed) == (2, True)


def test_a_frame_is_found_by_its_id_in_a_large_file(tmp_path):
    ids, path = Ids(), tmp_path / "a.log"
    made = [ids.new(ms // 7) for ms in range(5000)]
    path.write_bytes(pack(0, OPENING) + b"".join(pack(i, id_, b"x" * (i % 100)) for i, id_ in enumerate(made)))

    data = mapped(path)

    assert [find_frame(data, id_).seq for id_ in made[::97]] == list(range(0, 5000, 97))
    assert find_frame(data, Ids().new(100)) is None
    assert find_frame(data, Ids().new(9999)) is None


FORGED = pack(7, b"\x7f" * 16, b"never predicted")


def test_frames_in_a_body_hide_no_later_one():
    ids = Ids()
    made = [ids.new(seq) for seq in range(2000)]
    data = pack(0, OPENING) + b"".join(
        pack(seq, id_, FORGED * 4000 if seq == 700 else b"x" * 300) for seq, id_ in enumerate(made)
    )

    assert [frame and frame.seq for frame in (find_frame(data, id_) for id_ in made)] == [*range(2000)]
    assert find_frame(data, b"\x7f" * 16) is None


@pytest.mark.parametrize("lost", [0, 1, 20, 40, 60])
def test_frames_in_a_body_are_not_read_even_if_what_is_before_them_is_lost(lost):
    first, second = Ids().new(1), Ids().new(2)
    evil = pack(0, first, b"text " + FORGED * 9)
    data = pack(0, OPENING) + evil + pack(1, second, b"b") + pack(2, CLOSING)
    at = len(pack(0, OPENING))

    without = read_frames(evil[lost + 1 :] + data[at + len(evil) :])
    damaged = read_frames(data[: at + lost] + b"\xff" + data[at + lost + 1 :])

    assert [frame.id for frame in without.frames] == [frame.id for frame in damaged.frames] == [second]
    assert damaged.missing == 1


def test_any_body_comes_back_as_it_was():
    draw = random.Random(0)
    parts = [MAGIC[:1], MAGIC[1:2], MAGIC[:-1], MAGIC, b"\0", b"\0\0", b"a", FORGED, pack(1, b"i" * 16, FORGED)]
    bodies = [b"".join(draw.choices(parts, k=draw.randrange(9))) for _ in range(3000)]
    made = [(1000 + seq).to_bytes(16) for seq in range(3000)]
    data = b"".join(pack(seq, made[seq], body) for seq, body in enumerate(bodies))

    assert [frame.body for frame in read_frames(data).frames] == bodies
    assert [frame and frame.body for frame in (find_frame(data, id_) for id_ in made[::50])] == bodies[::50]


def test_a_file_from_before_bodies_were_stuffed_is_still_read():
    ids, data = Ids(), b""
    made = [(seq, ids.new(seq), MAGIC[:-1] + b"\0%d" % seq) for seq in range(3000)]
    for seq, id_, body in made:
        rest = struct.pack("<Q16s", seq, id_) + body
        data += struct.pack("<4sII", b"MLog", len(body), zlib.crc32(rest)) + rest

    reading = read_frames(data)

    assert [tuple(frame) for frame in reading.frames] == made
    assert (reading.missing, reading.skipped, reading.torn) == (0, 0, 0)
    assert find_frame(data, made[1234][1]) == made[1234]


def test_an_empty_file_holds_nothing(tmp_path):
    path = tmp_path / "a.log"
    path.touch()

    assert read_frames(mapped(path)).frames == []
    assert find_frame(mapped(path), b"x" * 16) is None


def test_a_full_disk_refuses_a_frame_and_leaves_no_part_of_it(tmp_path):
    path = tmp_path / "a.log"
    script = f"""
from pathlib import Path
from mlops_assets.serving.log.frames import FrameFile, LogRefused, pack
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file = FrameFile(Path({str(path)!r}))
for seq in range(5):
    try:
        file.append(pack(seq, b"i" * 16, b"b" * 300))
        print("took", seq)
    except LogRefused as error:
        print("refused", seq)
file.append(pack(2, b"i" * 16, b"small"))
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["took", "0", "took", "1", "refused", "2", "refused", "3", "refused", "4"]
    reading = read_frames(path.read_bytes())
    assert [frame.seq for frame in reading.frames] == [0, 1, 2]
    assert (reading.missing, reading.skipped, reading.torn) == (0, 0, 0)


def test_a_file_that_cannot_be_made_is_a_refusal(tmp_path):
    (tmp_path / "day").write_text("a file where a folder should be")

    with pytest.raises(LogRefused, match="day"):
        FrameFile(tmp_path / "day" / "a.log")
