"""Commands run as a user runs them, each in a session of its own, so that a test can kill it and all it started."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from mlops_assets.serving.workers import live_workers
from mlops_assets.settings import Settings, environment

Found = TypeVar("Found")
PAUSE_S = 0.05


def until(condition: Callable[[], Found | None], *, within_s: float = 120.0, what: str = "") -> Found:
    """Return what `condition` finds, as soon as it is true; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s in vain for {what or condition}"
        time.sleep(PAUSE_S)
    return found


@dataclass(frozen=True, kw_only=True)
class Started:
    """A command that runs; what it says is in the file `said`."""

    process: subprocess.Popen[bytes]
    said: Path

    @property
    def text(self) -> str:
        return self.said.read_text()

    @property
    def ui(self) -> str:
        """The URL of the UI that `up` named."""
        line = until(lambda: next((x for x in self.text.splitlines() if x.startswith("Dagster UI: ")), None))
        return line.split()[2]

    def stop(self, *, within_s: float = 60.0) -> int:
        """Ask it to end, and return its exit code."""
        self.process.terminate()
        return self.process.wait(within_s)

    def kill(self) -> None:
        """Kill its process group at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def started(settings: Settings, *arguments: str) -> Iterator[Started]:
    """Run `mlops-assets` with `arguments`; what still runs of it at the end is stopped."""
    settings.home.mkdir(parents=True, exist_ok=True)
    said = settings.home.with_name(f"said-{time.monotonic_ns()}.txt")
    command = [sys.executable, "-W", "ignore", "-m", "mlops_assets.cli", *arguments]
    env = {**environment(settings), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with said.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    run = Started(process=process, said=said)
    try:
        yield run
    finally:
        if process.poll() is None:
            _ended(run)


def _ended(run: Started) -> None:
    try:
        run.stop()
    finally:
        if run.process.poll() is None:  # or it would outlive its test
            run.kill()


def ran(settings: Settings, *arguments: str, within_s: float = 300.0) -> str:
    """Return what `mlops-assets` said when it had done what `arguments` ask for."""
    with started(settings, *arguments) as run:
        code = run.process.wait(within_s)
    assert code == 0, run.text
    return run.text


def endpoint(settings: Settings, product: str) -> str | None:
    """Return the URL of the product's endpoint, if there is one; a killed one looks alive for some seconds."""
    running = processes(settings.home)
    workers = live_workers(settings.serving(product), datetime.now(UTC))
    return next((worker.url for worker in workers if worker.pid in running), None)


def asked(ui: str, query: str) -> dict[str, object] | None:
    """Return what the UI answers to a GraphQL query, or None if it does not answer."""
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{ui}/graphql", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as refused:
        refused.close()  # it holds the connection
        return None
    except OSError:
        return None


def processes(home: Path) -> dict[int, str]:
    """Return the command lines of running processes that work under `home`, as their environment says, by their id."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"MLOPS_ASSETS_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended while it was looked at
            continue
    return found


def running(process: int) -> bool:
    """Return whether a process runs; one that has ended and was not collected does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return bool(found.stdout) and not found.stdout.startswith("Z")


def kill_all(home: Path) -> None:
    """Kill every process that works under `home`, as a power cut would."""
    while found := processes(home):
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
