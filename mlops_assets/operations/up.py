"""Dagster's UI and daemon and every product's endpoint, as child processes, until Ctrl-C."""

import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.catalogue import read_catalogue
from mlops_assets.loop import dagster_home, opening
from mlops_assets.operations.children import Children, children
from mlops_assets.operations.lost import report_lost
from mlops_assets.settings import PACKAGE, Settings, environment

if TYPE_CHECKING:
    import subprocess

RESTART_AFTER_S = 2.0
HOST = "127.0.0.1"


@dataclass
class Service:
    """A process to keep running, and when it was last started."""

    name: str
    command: list[str]
    essential: bool
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0


def up(settings: Settings, *, port: int, endpoint_port: int, clock: str) -> int:
    """Run everything until a signal comes, and return 0; 1 if Dagster itself stopped. Endpoints are started again.

    A port 0 is any free one. Endpoints take the ports from `endpoint_port` on, in the order of the products' names.

    Raises:
        Busy: If another process has its children under this home.
    """
    catalogue = read_catalogue(settings.defs)
    for problem in catalogue.errors.values():
        print(f"error: {problem}", file=sys.stderr)
    with children(settings.home) as started:
        _take_up(settings)
        ui = port or _free_port()
        services = [Service(name="dagster", command=_dagster(ui), essential=True)]
        for offset, name in enumerate(sorted(catalogue.products)):
            at = str(endpoint_port + offset if endpoint_port else 0)
            serve = [sys.executable, "-m", "mlops_assets.cli", "serve", name, "--port", at, "--clock", clock]
            services.append(Service(name=name, command=serve, essential=False))
        url = f"http://{HOST}:{ui}"
        print(f"Dagster UI: {url} in a few seconds; Ctrl-C stops everything", flush=True)
        return _keep(services, started, {**environment(settings), "MLOPS_ASSETS_UI": url})


def _take_up(settings: Settings) -> None:
    """Report what a killed predecessor left under way as failed; the daemon then retries it."""
    home = dagster_home(settings)
    with opening(home):
        opened = dg.DagsterInstance.from_config(str(home))
    with opened as instance:
        if lost := report_lost(instance, home):
            print(f"{len(lost)} run{'s' if len(lost) > 1 else ''} of a killed process taken up again", flush=True)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def _dagster(port: int) -> list[str]:
    workspace = PACKAGE.parent / "workspace.yaml"
    where = ["-w", str(workspace)] if workspace.exists() else ["-m", "mlops_assets.definitions"]
    dagster = Path(sys.executable).with_name("dagster")
    return [str(dagster), "dev", *where, "-h", HOST, "-p", str(port), "--log-level", "warning"]


def _keep(services: list[Service], started: Children, env: dict[str, str]) -> int:
    """Keep `services` running. Signals are caught before they start, or they would inherit an ignored Ctrl-C."""
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: stopping.append(got))
    while not stopping:
        for service in services:
            stopped = service.process is not None and service.process.poll() is not None
            if stopped and service.essential:
                print("Dagster stopped; start again to continue", file=sys.stderr)
                return 1
            if service.process is None or (stopped and time.monotonic() - service.started > RESTART_AFTER_S):
                if stopped:
                    print(f"the endpoint of {service.name} stopped; started again", file=sys.stderr, flush=True)
                service.started = time.monotonic()
                service.process = started.start(service.command, env)
        time.sleep(0.2)
    return 0
