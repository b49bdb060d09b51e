"""A disk that is full, lost or back again, under a real endpoint: it does as declared, and mends by itself."""

import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from mlops_assets.endpoint import Endpoint, Kept
from mlops_assets.serving.log.frames import Reading, mapped, read_frames
from mlops_assets.serving.log.ids import parse
from mlops_assets_tests.serving.loans import INFER, ROW, deploy, route
from mlops_assets_tests.serving.log.process import endpoint

REFUSE, SERVE = Endpoint(log=Kept(when_full="refuse")), Endpoint(log=Kept(when_full="serve"))
SYNC = Endpoint(log=Kept(sync=True))
TMPFS = 'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'


def can_mount() -> bool:
    done = subprocess.run(["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def served(settings, first):
    """Version 1 in both segments; the folder of the log."""
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    return settings.serving("loans") / "log"


def read(folder: Path) -> Reading:
    [path] = folder.glob("*/*.log")
    return read_frames(mapped(path))


def ids(replies):
    return [parse(reply.body["inference_id"]).request for reply in replies if reply.status == 200]


def unlogged(running) -> int:
    return int(re.search(r"^mlops_unlogged_total (\d+)", running.get("/metrics"), re.MULTILINE)[1])


@pytest.mark.parametrize("declared", [REFUSE, SYNC], ids=["written", "forced"])
def test_a_full_disk_refuses_and_says_when_to_come_again_until_there_is_room(settings, served, declared):
    with endpoint(settings, declared, file_size=3000) as running:
        before = [running.post(INFER, ROW) for _ in range(25)]
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        after = [running.post(INFER, ROW) for _ in range(5)]

    refused = [reply for reply in before if reply.status != 200]
    assert {(reply.status, reply.headers["retry-after"]) for reply in refused} == {(503, "1")}
    assert "not logged, and so not answered" in refused[0].body["error"]
    assert 0 < len(refused) < 25
    assert [reply.status for reply in after] == [200] * 5
    reading = read(served)
    assert [frame.id for frame in reading.frames] == [*ids(before), *ids(after)]
    assert (reading.missing, reading.skipped, reading.torn) == (0, 0, 0)


def test_an_endpoint_that_serves_unlogged_says_so_counts_and_mends(settings, served):
    with endpoint(settings, SERVE, file_size=3000) as running:
        before = [running.post(INFER, ROW) for _ in range(25)]
        counted = unlogged(running)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        after = [running.post(INFER, ROW) for _ in range(5)]

    lost = [reply for reply in before if reply.headers.get("mlops-unlogged") == "true"]
    assert {reply.status for reply in (*before, *after)} == {200}
    assert 0 < len(lost) == counted < 25
    reading = read(served)
    kept = [reply for reply in (*before, *after) if reply not in lost]
    assert [frame.id for frame in reading.frames] == ids(kept)
    assert (reading.missing, reading.skipped) == (len(lost), 0)


@pytest.mark.skipif(not can_mount(), reason="no file system may be mounted here: the limit on files stands for it")
@pytest.mark.parametrize("declared", [REFUSE, SYNC], ids=["written", "forced"])
def test_a_real_file_system_that_fills_in_the_middle_of_a_frame_loses_nothing(settings, served, declared):
    served.mkdir(parents=True)
    under = ["unshare", "-rm", "sh", "-c", TMPFS.format(size="32k"), str(served)]
    with endpoint(settings, declared, under=under) as running:
        inside = Path(f"/proc/{running.process.pid}/root{served}")
        (inside / "ballast").write_bytes(bytes(12 * 1024))
        before = [running.post(INFER, ROW) for _ in range(150)]
        full = read(inside)
        (inside / "ballast").unlink()
        after = [running.post(INFER, ROW) for _ in range(5)]
        reading = read(inside)

    assert {reply.status for reply in before} == {200, 503}
    assert [frame.id for frame in full.frames] == ids(before)
    assert [reply.status for reply in after] == [200] * 5
    assert [frame.id for frame in reading.frames] == [*ids(before), *ids(after)]
    assert (reading.missing, reading.skipped, reading.torn) == (0, 0, 0)


def test_a_log_that_may_not_be_written_any_more_is_a_refusal_until_it_may(settings, served):
    without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    with endpoint(settings, REFUSE, clock="replay", under=without) as running:
        tuesday = running.post(INFER, ROW, mlops_clock="2026-01-06T10:00:00Z")
        served.chmod(0o500)
        refused = running.post(INFER, ROW, mlops_clock="2026-01-07T10:00:00Z")
        served.chmod(0o700)
        wednesday = running.post(INFER, ROW, mlops_clock="2026-01-07T11:00:00Z")

    assert (tuesday.status, refused.status, wednesday.status) == (200, 503, 200)
    assert "Permission denied" in refused.body["error"]
    found = {path.parent.name: read_frames(mapped(path)) for path in served.glob("*/*.log")}
    assert {window: [frame.id for frame in each.frames] for window, each in found.items()} == {
        "2026-01-06": ids([tuesday]),
        "2026-01-07": ids([wednesday]),
    }
