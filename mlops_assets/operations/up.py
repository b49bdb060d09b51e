"""Dagster's UI and daemon and every product's endpoint, as child processes, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.catalogue import read_catalogue
from mlops_assets.loop import dagster_home
from mlops_assets.settings import PACKAGE, Settings, environment

STOP_WITHIN_S = 20
RESTART_AFTER_S = 2.0


@dataclass
class Child:
    """A process to keep alive, and when it was last started."""

    name: str
    command: list[str]
    essential: bool
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0


def up(settings: Settings, *, port: int, endpoint_port: int, clock: str) -> int:
    """Run everything until a signal comes, and return 0; 1 if Dagster itself stopped. A stopped endpoint is started again."""
    dagster_home(settings)
    catalogue = read_catalogue(settings.defs)
    for problem in catalogue.errors.values():
        print(f"error: {problem}", file=sys.stderr)
    children = [Child(name="dagster", command=_dagster(port), essential=True)]
    for offset, name in enumerate(sorted(catalogue.products)):
        serve = ["-m", "mlops_assets.cli", "serve", name, "--port", str(endpoint_port + offset), "--clock", clock]
        children.append(Child(name=name, command=[sys.executable, *serve], essential=False))
        print(f"endpoint of {name}: http://127.0.0.1:{endpoint_port + offset}", flush=True)
    print(f"Dagster UI: http://127.0.0.1:{port} (Ctrl-C stops everything)", flush=True)
    return _keep(children, {**environment(settings), "MLOPS_ASSETS_UI": f"http://127.0.0.1:{port}"})


def _dagster(port: int) -> list[str]:
    workspace = PACKAGE.parent / "workspace.yaml"
    where = ["-w", str(workspace)] if workspace.exists() else ["-m", "mlops_assets.definitions"]
    dagster = Path(sys.executable).with_name("dagster")
    return [str(dagster), "dev", *where, "-h", "127.0.0.1", "-p", str(port), "--log-level", "warning"]


def _keep(children: list[Child], env: dict[str, str]) -> int:
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: stopping.append(got))
    try:
        while not stopping:
            for child in children:
                if child.process is not None and child.process.poll() is not None and child.essential:
                    print(f"{child.name} stopped with exit code {child.process.returncode}", file=sys.stderr)
                    return 1
                _start(child, env)
            time.sleep(0.2)
        return 0
    finally:
        _stop(children)


def _start(child: Child, env: dict[str, str]) -> None:
    """Start a child that does not run, but not more often than every few seconds."""
    if child.process is not None and child.process.poll() is None:
        return
    if child.process is not None and time.monotonic() - child.started < RESTART_AFTER_S:
        return
    if child.process is not None:
        print(f"endpoint of {child.name} stopped with {child.process.returncode}; started again", file=sys.stderr)
    child.started = time.monotonic()
    child.process = subprocess.Popen(child.command, env=env, start_new_session=True, preexec_fn=_hears_signals)


def _hears_signals() -> None:
    """Undo the ignored SIGINT that a background shell hands down; `dagster dev` copies it to SIGTERM."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(children: list[Child]) -> None:
    running = [child.process for child in children if child.process is not None and child.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_WITHIN_S
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
