"""What making a record takes: all threads, children that were waited for, and nothing for what is skipped."""

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Built
from mlops_assets.evidence.records import Cost, Place, Recipe

BUSY_S = 0.3
PLACE = Place(product="houses", stage="dataset", partition="all|all")


def busy() -> None:
    """Use 0.3 s of CPU time in this thread; hashing lets other threads run."""
    data, until = b"x" * 1_000_000, time.thread_time() + BUSY_S
    while time.thread_time() < until:
        hashlib.sha256(data).digest()


def two_threads() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: busy(), range(2)))


def a_child() -> None:
    code = f"import time\nwhile time.process_time() < {BUSY_S}: pass"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)


def cost(tmp_path: Path, work, gpu_s: float = 0.0) -> Cost:
    def build() -> Built:
        work()
        return Built(outputs={"rows": pl.DataFrame({"x": [1, 2]}), "note": (b"123", "txt")}, gpu_s=gpu_s)

    made = Archive(tmp_path).make(Recipe(place=PLACE, code="test"), [], build).envelope.cost
    assert made is not None
    return made


@pytest.mark.parametrize(("work", "least"), [(busy, BUSY_S), (two_threads, 2 * BUSY_S), (a_child, BUSY_S)])
def test_cpu_time_is_that_of_all_threads_and_children(tmp_path: Path, work, least: float):
    assert cost(tmp_path, work).cpu_s >= least


def test_waiting_costs_no_cpu_time(tmp_path: Path):
    before = os.times()
    found = cost(tmp_path, lambda: time.sleep(BUSY_S))
    after = os.times()

    assert found.cpu_s <= after.user - before.user + after.system - before.system + 0.02
    assert found.cpu_s < BUSY_S


def test_gpu_time_rows_and_bytes_are_those_of_what_was_made(tmp_path: Path):
    found = cost(tmp_path, lambda: None, gpu_s=2.5)

    sizes = [path.stat().st_size for path in (tmp_path / "objects").rglob("*.*")]
    assert (found.gpu_s, found.rows_in, found.rows_out, found.bytes_written) == (2.5, 0, 2, sum(sizes))


def test_the_same_rows_give_the_same_record_whatever_it_took(tmp_path: Path):
    recipe, rows = Recipe(place=PLACE, code="test"), pl.DataFrame({"x": [1, 2]})
    built = [Built(outputs={"rows": rows}, gpu_s=gpu_s) for gpu_s in (0.0, 7.0)]

    one, two = (Archive(tmp_path / str(n)).make(recipe, [], lambda n=n: built[n]) for n in (0, 1))

    assert one.id == two.id
    assert one.envelope.cost != two.envelope.cost
