"""Children end with their parent, and so does what they have started, whatever ended the parent."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.operations.children import Busy, children
from mlops_assets_tests.started import running, until

PARENT = """
import os, signal, sys, time
from pathlib import Path
from mlops_assets.operations.children import children
home = Path(sys.argv[1])
child = ["sh", "-c", "trap '' HUP; sleep 1000 & echo $$ $! > " + str(home / "ids") + "; wait"]
with children(home) as started:
    started.start(child, dict(os.environ))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    time.sleep(1000)
"""


@contextmanager
def parent(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A process with a child that has started another; both of their ids."""
    home.mkdir()
    with subprocess.Popen([sys.executable, "-c", PARENT, str(home)], start_new_session=True) as process:
        text = until(lambda: (home / "ids").exists() and (home / "ids").read_text(), what="the child's word")
        try:
            yield process, [int(each) for each in text.split()]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_children_have_started_ends_with_their_parent(home: Path, number: signal.Signals):
    with parent(home) as (process, started):
        before = [running(each) for each in started]
        process.send_signal(number)
        until(lambda: not any(running(each) for each in started), what="the end of the children")

    assert before == [True, True]


def test_the_next_parent_waits_for_the_children_of_a_killed_one(home: Path):
    with parent(home) as (process, started):
        process.kill()
        with children(home):
            left = [each for each in started if running(each)]

    assert left == []


def test_a_second_parent_is_told_which_process_is_the_first(home: Path):
    with parent(home) as (process, _), pytest.raises(Busy) as told, children(home, within_s=0):
        pass

    assert str(told.value).startswith(f"process {process.pid} already runs under {home}")


def test_children_whose_keeper_was_killed_still_end_with_their_parent(home: Path):
    with parent(home) as (process, started):
        [keeper] = [each for each in children_of(process.pid) if each != started[0]]
        subprocess.run(["kill", "-KILL", str(keeper)], check=True)
        process.terminate()
        until(lambda: not any(running(each) for each in started), what="the end of the children")


def children_of(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=True)
    return [int(each) for each in found.stdout.split()]
