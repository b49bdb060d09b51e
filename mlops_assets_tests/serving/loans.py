"""A small product with two segments, its models, and its endpoint in a process of its own.

`python -m mlops_assets_tests.serving.loans HOME CLOCK` serves it.
"""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import polars as pl

from mlops_assets.evidence.store import Store
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.serving.routing.deploy import Beside, Deployment, Route, write_deployment
from mlops_assets.serving.worker.server import serve
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training import gbdt
from mlops_assets.training.fitting import Trained, TrainingSet
from mlops_assets.training.model import ColumnSpec, encode_spec
from mlops_assets.windows import Grid

LOANS = ModelProduct(
    name="loans",
    source=Source(path="loans.csv", time="at", key="id", segment="region"),
    label=Label(column="good"),
    segments=("eu", "us"),
    windows=Grid(every="week", start=datetime(2026, 1, 5)),
    features=("age", "salary", "job"),
)
INPUTS = {
    "age": ColumnSpec(type="int", min=18, max=99),
    "salary": ColumnSpec(type="float", nullable=True),
    "job": ColumnSpec(type="str", isin=["clerk", "nurse", "smith"]),
}
ROW = {"age": 40, "salary": 2500.5, "job": "nurse", "region": "eu", "id": 7}
INFER = "/v2/models/loans/infer"
OUTCOMES = "/v2/models/loans/outcomes"


def fitted(seed: int, *, task: str = "binary") -> Trained:
    """A model of 300 rows: good where the salary is over 3,000, or 2,000 for nurses; one salary in ten is missing."""
    random = np.random.default_rng(seed)
    rows = pl.DataFrame(
        {
            "age": random.integers(18, 80, 300),
            "salary": random.uniform(1000, 5000, 300),
            "job": random.choice(INPUTS["job"].isin or [], 300),
        }
    )
    good = (pl.col("salary") > 3000) | ((pl.col("job") == "nurse") & (pl.col("salary") > 2000))
    labels = {
        "binary": good.cast(int),
        "multiclass": pl.col("job") + good.cast(int).cast(pl.String),
        "regression": pl.col("salary") * 2,
    }
    label = rows.select(label=labels[task])["label"]
    missing = pl.when(pl.Series(random.uniform(size=300) < 0.1)).then(None).otherwise(pl.col("salary"))
    data = TrainingSet(features=rows.with_columns(salary=missing), labels=label, task=task, inputs=INPUTS)
    return gbdt.fit(data, {"num_iterations": 8, "min_data_in_leaf": 5}, seed)


def route(settings: Settings, model: Trained, version: int) -> Route:
    """Store a model and name it."""
    store = Store(settings.home)
    _, data = store.put_bytes("model", model.model_bytes, "txt")
    _, spec = store.put_bytes("spec", encode_spec(model.spec), "json")
    return Route(version=version, record=f"record-{version}", model=data, spec=spec)


def deploy(
    settings: Settings,
    name: str,
    routes: dict[str, Route],
    fallback: str | None = None,
    *,
    beside: dict[str, list[Beside]] | None = None,
) -> None:
    """Ask for a deployment of the product."""
    deployment = Deployment(
        id=name, product="loans", at="2026-01-05", routes=routes, fallback=fallback, beside=beside or {}
    )
    write_deployment(settings.serving("loans"), deployment)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the endpoint said."""

    status: int
    headers: dict[str, str]
    body: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Running:
    """An endpoint in another process."""

    process: subprocess.Popen[str]
    url: str

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)

    def get(self, path: str) -> str:
        with closing(self.connect()) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def post(self, path: str, body: object, **headers: str) -> Reply:
        with closing(self.connect()) as connection:
            return post(connection, path, body, **headers)


def post(connection: http.client.HTTPConnection, path: str, body: object, **headers: str) -> Reply:
    """Send JSON, or bytes as they are; underscores in a header's name stand for hyphens."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return Reply(
        status=answer.status, headers={k.lower(): v for k, v in answer.getheaders()}, body=json.loads(answer.read())
    )


@contextmanager
def running(settings: Settings, *, clock: str = "server", limit: str = "", sticky: str = "") -> Iterator[Running]:
    """An endpoint from its first answer on; it is killed at the end if it still runs."""
    command = [sys.executable, "-m", "mlops_assets_tests.serving.loans", str(settings.home), clock, limit, sticky]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "serving at http" in line
            yield Running(process=process, url=line.split()[3])
        finally:
            process.kill()


def main() -> None:
    """Serve; a third argument limits the size of any file this process writes, in bytes, as a full disk would.

    A fourth one names the column that decides who answers.
    """
    home, clock, limit, sticky = sys.argv[1:]
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    endpoint = LOANS.endpoint.model_copy(update={"sticky": sticky or None})
    serve(
        LOANS.model_copy(update={"endpoint": endpoint}),
        load_settings(home=Path(home)),
        clock="replay" if clock == "replay" else "server",
    )


if __name__ == "__main__":
    main()
