"""A deployment in a temporary folder, driven by the command line as a user drives it."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MANY_S = 300


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Its own declarations, evidence and Dagster home below `folder`, from which source paths start too."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a process of this deployment; Python code lies in `folder`."""
        places = {
            "MLOPS_ASSETS_HOME": str(self.home),
            "MLOPS_ASSETS_ROOT": str(self.folder),
            "MLOPS_ASSETS_DEFS": str(self.folder / "defs"),
            "PYTHONPATH": os.pathsep.join([str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "OMP_NUM_THREADS": "1",
        }
        inherited = {k: v for k, v in os.environ.items() if k not in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI")}
        return {**inherited, **places}

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """What `mlops-assets` with `arguments` printed; it has to exit with `code`."""
        command = [sys.executable, "-W", "ignore", "-m", "mlops_assets.cli", *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=MANY_S, check=False
        )
        assert done.returncode == code, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What `mlops-assets` with `arguments` and `--json` printed."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    @contextmanager
    def serving(self, product: str) -> "Iterator[Endpoint]":
        """The endpoint of `product`, from its first answer until the block ends."""
        command = [sys.executable, "-m", "mlops_assets.cli", "serve", product, "--port", "0"]
        with subprocess.Popen(
            command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert "serving at http" in line
                yield Endpoint(product=product, url=line.split()[3])
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 0


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A product's endpoint in another process."""

    product: str
    url: str

    def infer(self, row: object) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and body of the answer to `row`."""
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)) as connection:
            connection.request("POST", f"/v2/models/{self.product}/infer", json.dumps(row))
            answer = connection.getresponse()
            body = json.loads(answer.read())
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
