"""One row asked over HTTP of the real endpoint, log included, beside `Booster.predict` of the same model in process."""

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import numpy as np

from benchmarks.measure import child_environment, fastest, python
from benchmarks.plain_steps import history
from benchmarks.results import Result, result
from mlops_assets.defs.loans.applications import HISTORY_START, HISTORY_WEEKS, world
from mlops_assets.evidence.store import Store
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.model import Matrix, decode_spec, to_matrix

AIM = 5
ROUNDS, WARM, ASKED = 20, 500, 5_000
PRODUCT, SEGMENT = "loans", "north"
END = b"\r\n\r\n"


def measure() -> list[Result]:
    """Return the median of 5,000 requests, one after the other on one connection, in µs."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder, "home"))
        history(settings, PRODUCT)
        row = _row()
        predict = _in_process(settings, row)
        with _endpoint(settings) as (host, port), socket.create_connection((host, port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = _request(row)
            served, floor = fastest(ROUNDS, lambda: _p50(lambda: _ask(connection, request)), lambda: _p50(predict))
    beside = "lightgbm.Booster.predict, one row"
    return [result("serve_p50_vs_inprocess", served, "µs", beside=beside, beside_figure=floor, aim=AIM)]


def _row() -> dict[str, object]:
    start = HISTORY_START + timedelta(weeks=HISTORY_WEEKS)
    live = world(start, 1, 10).drop("applied_at", "approved")
    return next(row for row in live.iter_rows(named=True) if row["region"] == SEGMENT)


def _in_process(settings: Settings, row: dict[str, object]) -> Callable[[], object]:
    """Return a prediction of `row` with the model that the endpoint serves."""
    import polars as pl
    from lightgbm import Booster

    deployment, store = read_deployment(settings.serving(PRODUCT)), Store(settings.home)
    assert deployment is not None
    route = deployment.routes[SEGMENT]
    booster = Booster(model_str=store.get_bytes(route.model).decode())
    features: Matrix = to_matrix(pl.DataFrame([row]), decode_spec(store.get_bytes(route.spec)))
    return lambda: booster.predict(features)


@contextmanager
def _endpoint(settings: Settings) -> Iterator[tuple[str, int]]:
    command = python("-m", "mlops_assets.cli", "serve", PRODUCT, "--port", "0")
    with subprocess.Popen(command, env=child_environment(settings), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(next(word for word in process.stdout.readline().split() if word.startswith("http:")))
            yield str(url.hostname), int(url.port or 0)
        finally:
            process.terminate()


def _request(row: dict[str, object]) -> bytes:
    body = json.dumps(row).encode()
    head = f"POST /v2/models/{PRODUCT}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}".encode() + END + body


def _ask(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    answer = connection.recv(65_536)
    head, _, body = answer.partition(END)
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the endpoint answered {answer.decode()}")


def _p50(call: Callable[[], object]) -> float:
    """Return the median time of a call in µs, after some that do not count."""
    taken = np.empty(WARM + ASKED)
    for at in range(WARM + ASKED):
        began = time.perf_counter_ns()
        call()
        taken[at] = time.perf_counter_ns() - began
    return median(taken[WARM:].tolist()) / 1000
