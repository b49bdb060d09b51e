"""The endpoint of `loans` as a test wants it, in a process of its own whose lines on stderr can be read.

`python -m mlops_assets_tests.serving.guarded HOME OPTIONS` serves it; OPTIONS are JSON.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlops_assets.endpoint import Endpoint, Limits
from mlops_assets.rules import Approval
from mlops_assets.serving import workers
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.worker.server import serve
from mlops_assets.settings import Settings, load_settings
from mlops_assets_tests.houses import HOUSES
from mlops_assets_tests.serving.loans import LOANS, Reply, post

BROKEN_AGE = 98  # a row of this age raises what nobody foresaw, where the process was told to


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """An endpoint in another process, and the file that its stderr goes into."""

    process: subprocess.Popen[str]
    url: str
    said: Path

    @property
    def at(self) -> tuple[str, int]:
        found = urlsplit(self.url)
        return "127.0.0.1", found.port or 0

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.at, timeout=30)

    def raw(self, data: bytes) -> socket.socket:
        """A connection on which `data` has been sent."""
        connection = socket.create_connection(self.at, timeout=30)
        connection.sendall(data)
        return connection

    def post(self, path: str, body: object, **headers: str) -> Reply:
        with closing(self.connect()) as connection:
            return post(connection, path, body, **headers)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        with closing(self.connect()) as connection:
            connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def figures(self, **headers: str) -> dict[str, float]:
        """What /metrics says, by name and labels as it writes them."""
        lines = self.get("/metrics", **headers)[1].splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if not x.startswith("#"))}

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The lines of stderr, of one event or of all; each has to be JSON."""
        found = [json.loads(line) for line in self.said.read_text().splitlines()]
        return [each for each in found if event in ("", each["event"])]


@contextmanager
def guarded(settings: Settings, env: dict[str, str] | None = None, **options: object) -> Iterator[Guarded]:
    """An endpoint from its first answer on; it is killed at the end if it still runs."""
    said = settings.home.with_name(f"{settings.home.name}-said.txt")
    command = [sys.executable, "-m", "mlops_assets_tests.serving.guarded", str(settings.home), json.dumps(options)]
    with (
        said.open("w") as err,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "serving at http" in line, said.read_text()
            yield Guarded(process=process, url=line.split()[3], said=said)
        finally:
            process.kill()


def main() -> None:
    """Serve with the options: limits, host, linger_s, kept; what holds the disk; whether it is houses, and breaks."""
    home, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    limits = options.pop("limits", {})
    if "time_s" in limits:
        limits["time"] = timedelta(seconds=limits.pop("time_s"))
    if holds := options.pop("holds", ""):
        _hold(Path(holds))
    if options.pop("breaks", False):
        _break()
    chosen = (
        HOUSES.model_copy(update={"approval": Approval(roles=("risk",))}) if options.pop("houses", False) else LOANS
    )
    product = chosen.model_copy(update={"endpoint": Endpoint(limits=Limits(**limits))})
    serve(product, load_settings(home=home), **options)


def _hold(file: Path) -> None:
    """Make the disk that takes the worker's own file hang as long as there is `file`."""
    replace = workers.replace

    def slow(path: Path, data: bytes) -> None:
        while file.exists():
            time.sleep(0.01)
        replace(path, data)

    workers.replace = slow


def _break() -> None:
    """Make the decoder raise on some rows, as a mistake in it would, with a personal value in the message."""
    one = RowDecoder.one

    def broken(self: RowDecoder, body: bytes) -> object:
        found = one(self, body)
        if found.values[0] == BROKEN_AGE:
            raise KeyError(f"nobody foresaw {found.values}")
        return found

    RowDecoder.one = broken  # pyright: ignore


if __name__ == "__main__":
    main()
