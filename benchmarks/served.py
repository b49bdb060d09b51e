"""What is served to be measured: `loans` with its column list, `twenty` with a features function, `wide` of 30 numbers.

`python -m benchmarks.served PRODUCT whole|unlogged|synced` serves one: with its log as shipped, without a log, or
with every group of answers forced to the platter.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import served_wide
from benchmarks.measure import child_environment
from mlops_assets.catalogue import read_catalogue
from mlops_assets.defs.loans.applications import HISTORY_START, HISTORY_WEEKS, world
from mlops_assets.endpoint import Endpoint, Kept
from mlops_assets.evidence.store import Store
from mlops_assets.features.transform import Transform
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.settings import PACKAGE, Settings, load_settings
from mlops_assets.training.model import Matrix, ModelSpec, decode_spec, to_matrix
from mlops_assets.windows import ALL

PLAIN, COMPUTED, WIDE, SEGMENT = "loans", "twenty", "wide", "north"
WITHIN_S = 120.0
URL = re.compile(r"http://(?:127\.0\.0\.1|localhost):(\d+)")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A model as it is stored, rows that it is asked about, also as it sees them, and what it says of each."""

    model: str
    spec: ModelSpec
    rows: list[dict[str, object]]
    matrix: Matrix
    scores: list[float]
    predict: Callable[[], object]


def declared(folder: Path) -> Settings:
    """Return the settings of a deployment in `folder` that declares the three products."""
    shipped = (PACKAGE / "defs" / "loans" / "defs.yaml").read_text()
    listed = re.compile(r"features: \[.*\]")
    computed = listed.sub("features: benchmarks.served_features.twenty", shipped).replace("name: loans", "name: twenty")
    for name, text in ((PLAIN, shipped), (COMPUTED, computed), (WIDE, served_wide.DECLARATION)):
        (folder / "defs" / name).mkdir(parents=True)
        (folder / "defs" / name / "defs.yaml").write_text(text)
    return replace(load_settings(home=folder / "home"), defs=folder / "defs")


def served(settings: Settings, product: str, rows: int) -> Served:
    """Return the model that `product`'s endpoint serves, and `rows` rows: applications of a later day, or numbers."""
    from lightgbm import Booster

    deployment, store = read_deployment(settings.serving(product)), Store(settings.home)
    assert deployment is not None
    route = deployment.routes[ALL if product == WIDE else SEGMENT]
    spec, model = decode_spec(store.get_bytes(route.spec)), store.get_bytes(route.model).decode()
    booster = Booster(model_str=model)
    asked = _applications(rows) if product != WIDE else served_wide.history().select(*spec.inputs).head(rows).collect()
    inputs = asked.select(list(spec.inputs))
    first, transform = inputs.head(1), Transform(spec.transform) if spec.transform else None
    alone = to_matrix(first, spec) if transform is None else None

    def predict() -> object:
        if transform is None or alone is not None:
            return booster.predict(alone)
        return booster.predict(to_matrix(transform.apply(first.lazy()).collect(), spec))

    features = inputs if transform is None else transform.apply(inputs.lazy()).collect()
    matrix = to_matrix(features, spec)
    scores = [float(np.asarray(booster.predict(row[None]))[0]) for row in matrix]
    return Served(model=model, spec=spec, rows=asked.to_dicts(), matrix=matrix, scores=scores, predict=predict)


def _applications(rows: int) -> pl.DataFrame:
    start = HISTORY_START + timedelta(weeks=HISTORY_WEEKS)
    return world(start, 7, 4 * rows).filter(region=SEGMENT).drop("applied_at", "approved").head(rows)


@contextmanager
def listening(command: Sequence[str], settings: Settings, said: Path) -> Generator[tuple[int, int]]:
    """Run a server until the block ends; yield its port, once it names one, and its process id."""
    from mlops_assets_tests.started import until

    own = Path(sys.executable).parent  # where `mlflow` finds `uvicorn`, which takes its port from a variable
    env = {**child_environment(settings), "PATH": f"{own}:{os.environ['PATH']}", "UVICORN_PORT": "0"}
    with said.open("wb") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as process:
        try:
            yield until(lambda: _port(process, said), within_s=WITHIN_S, what=" ".join(command)), process.pid
        finally:
            process.terminate()


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(found) for found in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def resident_mib(process: int) -> float:
    """Return the resident memory of a process or of its child that has most, in MiB."""
    pages = (int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in [process, *children(process)])
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _port(process: "subprocess.Popen[bytes]", said: Path) -> int | None:
    text = said.read_text()
    if process.poll() is not None:
        raise RuntimeError(f"a server ended with {process.returncode}:\n{text[-2000:]}")
    found = URL.search(text)
    return int(found[1]) if found else None


def main(name: str, log: str) -> None:
    """Serve a product on a free port."""
    from mlops_assets.serving.log.durable import DurableLog
    from mlops_assets.serving.worker.server import serve

    settings = load_settings()
    product = read_catalogue(settings.defs).product(name)
    if log == "unlogged":
        DurableLog.append = lambda self, id_, body: True
    if log == "synced":
        product = product.model_copy(update={"endpoint": Endpoint(log=Kept(sync=True))})
    serve(product, settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
