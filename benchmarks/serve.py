"""The endpoint over HTTP beside the model in process, FastAPI and MLflow's scoring server: same model, rows, client.

All servers run at once, are asked in turns, and every answer is compared with the model's own. Of each server the best
of the rounds counts: the least latencies, the most requests.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.measure import python
from benchmarks.plain_steps import history
from benchmarks.results import Result, result
from benchmarks.rollback import rolled_back
from benchmarks.served import COMPUTED, PLAIN, Served, declared, listening, resident_mib, served
from benchmarks.served_client import Asking, Timing, timed
from mlops_assets.evidence.records import Struct
from mlops_assets.settings import Settings

P50_AIM, FASTAPI_AIM, MLFLOW_AIM = 5, 3, 40
CONNECTIONS = (1, 8, 64)
HEADLINE = 8
ROWS = 64
BUSY = 0.95
INFER = "/v2/models/{}/infer"


class Sizes(Struct, frozen=True, kw_only=True):
    """How much is asked: rounds, requests of a round to a server, and of a slow one; rollbacks."""

    rounds: int = 7
    requests: int = 20_000
    slow: int = 500
    rollbacks: int = 20


SIZES = Sizes()


class Server(Struct, frozen=True, kw_only=True):
    """How a server is asked: where, with which bodies, how often."""

    port: int
    process: int
    path: str
    bodies: list[str]
    scores: list[float]
    times: int


class Figures(Struct, frozen=True, kw_only=True):
    """The best timing of a server by its number of connections, and its memory at the end in MiB."""

    best: dict[int, Timing]
    mib: float


def measure(sizes: Sizes = SIZES) -> list[Result]:
    """Return all figures of the endpoint that are measured together."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        settings = declared(folder)
        for product in (PLAIN, COMPUTED):
            history(settings, product)
        plain, computed = (served(settings, product, ROWS) for product in (PLAIN, COMPUTED))
        servers = _servers(settings, folder, plain, computed, sizes, running)
        rows = _rows(*_measured(servers, {PLAIN: plain.predict, COMPUTED: computed.predict}, sizes))
        running.close()
        return [*rows, *rolled_back(settings, folder, sizes.rollbacks)]


def _servers(
    settings: Settings, folder: Path, plain: Served, computed: Served, sizes: Sizes, running: ExitStack
) -> dict[str, Server]:
    """Start all servers, until `running` ends."""
    file, known, mlflow = folder / "model.txt", folder / "categories.json", folder / "mlflow"
    file.write_text(plain.model)
    known.write_bytes(msgspec.json.encode({name: plain.spec.categories.get(name) for name in plain.spec.features}))
    _save_for_mlflow(plain, mlflow)
    peer = (str(Path(__file__).with_name("peers") / "fastapi_server.py"), str(file), str(known), "0")
    serve = str(Path(sys.executable).with_name("mlflow"))
    objects = [msgspec.json.encode(row).decode() for row in plain.rows]
    frames = [_frame(plain, row) for row in plain.matrix.tolist()]
    computing = [msgspec.json.encode(row).decode() for row in computed.rows]

    def started(name: str, path: str, bodies: list[str], scores: list[float], *command: str) -> Server:
        port, process = running.enter_context(listening(command, settings, folder / f"{name}.txt"))
        times = sizes.slow if name == "mlflow" else sizes.requests
        return Server(port=port, process=process, path=path, bodies=bodies, scores=scores, times=times)

    def ours(product: str, log: str, of: Served, bodies: list[str]) -> Server:
        command = python("-m", "benchmarks.served", product, log)
        return started(f"{product}-{log}", INFER.format(product), bodies, of.scores, *command)

    def fastapi(how: str) -> Server:
        return started(f"fastapi-{how}", "/predict", objects, plain.scores, *python(*peer, how))

    scoring = (serve, "models", "serve", "-m", str(mlflow), "--env-manager", "local", "--port", "0")
    return {
        "ours": ours(PLAIN, "whole", plain, objects),
        "ours_unlogged": ours(PLAIN, "unlogged", plain, objects),
        "ours_synced": ours(PLAIN, "synced", plain, objects),
        "ours_features": ours(COMPUTED, "whole", computed, computing),
        "fastapi_async": fastapi("async"),
        "fastapi_def": fastapi("def"),
        "mlflow": started("mlflow", "/invocations", frames, plain.scores, *scoring),
    }


def _measured(
    servers: Mapping[str, Server], predicts: Mapping[str, Callable[[], object]], sizes: Sizes
) -> tuple[dict[str, Figures], dict[str, float]]:
    """Return the figures of each server, and the median µs of each prediction in process; all take turns."""
    timings: dict[tuple[str, int], list[Timing]] = {}
    floors: dict[str, list[float]] = {}
    for _ in range(sizes.rounds):
        for name, predict in predicts.items():
            floors.setdefault(name, []).append(_p50(predict, sizes.requests // 4))
        for connections in CONNECTIONS:
            for name, server in servers.items():
                timings.setdefault((name, connections), []).append(_asked(server, connections))
    figures = {
        name: Figures(best={n: _best(timings[name, n]) for n in CONNECTIONS}, mib=resident_mib(server.process))
        for name, server in servers.items()
    }
    return figures, {name: min(found) for name, found in floors.items()}


def _asked(server: Server, connections: int) -> Timing:
    timing = timed(
        Asking(
            port=server.port,
            connections=connections,
            times=server.times,
            path=server.path,
            bodies=server.bodies,
            scores=server.scores,
        )
    )
    if connections > 1 and timing.busy > BUSY:
        raise RuntimeError(f"the client used {timing.busy:.0%} of its core: it was measured, and not the server")
    return timing


def _best(found: list[Timing]) -> Timing:
    return Timing(
        p50=min(each.p50 for each in found),
        p99=min(each.p99 for each in found),
        per_s=max(each.per_s for each in found),
        busy=max(each.busy for each in found),
    )


def _rows(figures: Mapping[str, Figures], floors: Mapping[str, float]) -> list[Result]:
    fastapi = max(("fastapi_async", "fastapi_def"), key=lambda name: figures[name].best[HEADLINE].per_s)
    ours, unlogged, synced = (figures[name] for name in ("ours", "ours_unlogged", "ours_synced"))
    rows = [
        *_beside("serve_p50_vs_inprocess", ours, "Booster.predict, one row", floors[PLAIN], P50_AIM),
        *_beside(
            "serve_p50_features_vs_inprocess",
            figures["ours_features"],
            "the features function and Booster.predict, one row",
            floors[COMPUTED],
            None,
        ),
        *_beside("serve_log_cost", ours, "no log", unlogged.best[1].p50, None),
        result("serve_log_cost/p99", ours.best[1].p99, "µs", beside="no log", beside_figure=unlogged.best[1].p99),
        result("serve_log_cost/synced", synced.best[1].p50, "µs"),
        *_most("serve_rps_vs_fastapi", ours, fastapi, figures[fastapi], FASTAPI_AIM),
        *_most("serve_rps_vs_mlflow", ours, "mlflow", figures["mlflow"], MLFLOW_AIM),
    ]
    for name, found in figures.items():
        rows += [
            result(f"server_{name}", found.best[1].p50, "µs"),
            result(f"server_{name}/p99", found.best[1].p99, "µs"),
            *(result(f"server_{name}/{n}", found.best[n].per_s, "requests/s") for n in CONNECTIONS),
            *(result(f"server_{name}/p99 at {n}", found.best[n].p99, "µs") for n in CONNECTIONS[1:]),
            result(f"server_{name}/memory", found.mib, "MiB"),
        ]
    return rows


def _beside(name: str, found: Figures, beside: str, floor: float, aim: float | None) -> list[Result]:
    first = result(name, found.best[1].p50, "µs", beside=beside, beside_figure=floor, aim=aim)
    return [first] if name == "serve_log_cost" else [first, result(f"{name}/p99", found.best[1].p99, "µs")]


def _most(name: str, ours: Figures, peer: str, other: Figures, aim: float) -> list[Result]:
    """Return requests per second beside a peer's: at 8 connections, and as parts at 1 and at 64."""
    places = {name: HEADLINE} | {f"{name}/{n}": n for n in CONNECTIONS if n != HEADLINE}
    return [
        result(
            place,
            ours.best[n].per_s,
            "requests/s",
            beside=peer,
            beside_figure=other.best[n].per_s,
            aim=aim if n == HEADLINE else None,
            at_least=True,
        )
        for place, n in places.items()
    ]


def _frame(of: Served, row: list[float]) -> str:
    """Return a request to MLflow: the model's numbers, since its flavour knows nothing of levels."""
    return msgspec.json.encode({"dataframe_split": {"columns": of.spec.features, "data": [row]}}).decode()


def _save_for_mlflow(of: Served, folder: Path) -> None:
    """Save the model as MLflow's own LightGBM flavour."""
    import mlflow
    import pandas as pd
    from lightgbm import Booster
    from mlflow.models import infer_signature

    rows = pd.DataFrame(of.matrix, columns=of.spec.features)
    mlflow.lightgbm.save_model(Booster(model_str=of.model), str(folder), signature=infer_signature(rows))


def _p50(call: Callable[[], object], times: int) -> float:
    """Return the median time of a call in µs, after a tenth that does not count."""
    taken: list[int] = []
    for _ in range(times + times // 10):
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    return median(taken[times // 10 :]) / 1000
