"""The endpoint over HTTP beside the model in process, FastAPI and MLflow's scoring server: same model, rows, client.

All servers of a model run at once, are asked in turns, and every answer is compared with the model's own. Of each
server the best of the rounds counts: the least latencies, the most requests.

A latency is that of one connection whose two ends share a core. The figure beside it, where the system spreads them
over two, holds two wake-ups of a core as well: `bare socket` says how much that is.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.plain_steps import history
from benchmarks.results import Result, result
from benchmarks.rollback import rolled_back
from benchmarks.served import COMPUTED, PLAIN, WIDE, declared, resident_mib, served
from benchmarks.served_client import Asking, Timing, timed
from benchmarks.servers import SELDOM, Server, Servers, together
from mlops_assets.evidence.records import Struct
from mlops_assets.settings import Settings

P50_AIM, FASTAPI_AIM, MLFLOW_AIM = 5, 3, 40
CONNECTIONS = (1, 8, 64)
HEADLINE = 8
ROWS = 64
BUSY = 0.95
PREDICT = "Booster.predict, one row"


class Sizes(Struct, frozen=True, kw_only=True):
    """How much is asked: rounds, requests of a round to a server; rollbacks."""

    rounds: int = 7
    requests: int = 10_000
    rollbacks: int = 20


SIZES = Sizes()


class Figures(Struct, frozen=True, kw_only=True):
    """The best timings of a server: `alone` with its client on one core, others by connections; its memory in MiB."""

    alone: Timing
    best: dict[int, Timing]
    mib: float


def measure(sizes: Sizes = SIZES) -> list[Result]:
    """Return all figures of the endpoint that are measured together."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = declared(folder)
        for product in (PLAIN, COMPUTED, WIDE):
            history(settings, product)
        shown = _loans(settings, sizes) + _wide(settings, sizes)
        return [*shown, *rolled_back(settings, folder, sizes.rollbacks)]


def _loans(settings: Settings, sizes: Sizes) -> list[Result]:
    """Return the figures of `loans`, and of the same rows with a features function."""
    plain, computed = (served(settings, product, ROWS) for product in (PLAIN, COMPUTED))
    with ExitStack() as running:
        servers = Servers(PLAIN, plain, settings, running)
        figures, floors = _measured(
            {
                "ours": servers.ours(),
                "ours_unlogged": servers.ours("unlogged"),
                "ours_synced": servers.ours("synced", share=SELDOM),
                "ours_features": Servers(COMPUTED, computed, settings, running).ours(share=SELDOM),
                "fastapi_async": servers.fastapi("async"),
                "fastapi_def": servers.fastapi("def", share=SELDOM),
                "mlflow": servers.mlflow(),
                "bare_socket": servers.bare_socket(),
            },
            {PLAIN: plain.predict, COMPUTED: computed.predict},
            sizes,
        )
    ours, alone, features = figures["ours"], floors[PLAIN], figures["ours_features"]
    fastapi = max(("fastapi_async", "fastapi_def"), key=lambda name: figures[name].best[HEADLINE].per_s)
    computing, log = "the features function and Booster.predict, one row", figures["ours_unlogged"].alone
    return [
        *_beside("serve_p50_vs_inprocess", ours, PREDICT, alone, P50_AIM),
        *_beside("serve_p50_vs_inprocess/bare socket", figures["bare_socket"], PREDICT, alone),
        *_beside("serve_p50_features_vs_inprocess", features, computing, floors[COMPUTED]),
        result("serve_log_cost", ours.alone.p50, "µs", beside="no log", beside_figure=log.p50),
        result("serve_log_cost/p99", ours.alone.p99, "µs", beside="no log", beside_figure=log.p99),
        result("serve_log_cost/synced", figures["ours_synced"].alone.p50, "µs"),
        *_most("serve_rps_vs_fastapi", ours, fastapi, figures[fastapi], FASTAPI_AIM),
        *_most("serve_rps_vs_mlflow", ours, "mlflow", figures["mlflow"], MLFLOW_AIM),
        *_each(figures),
    ]


def _wide(settings: Settings, sizes: Sizes) -> list[Result]:
    """Return the figures of `wide`."""
    wide = served(settings, WIDE, ROWS)
    with ExitStack() as running:
        servers = Servers(WIDE, wide, settings, running)
        started = {"ours": servers.ours(), "fastapi_async": servers.fastapi("async"), "mlflow": servers.mlflow()}
        figures, floors = _measured(started, {WIDE: wide.predict}, sizes)
    ours, fastapi, mlflow = (figures[name] for name in ("ours", "fastapi_async", "mlflow"))
    return [
        *_beside("serve_p50_vs_inprocess/30 columns", ours, PREDICT, floors[WIDE], P50_AIM),
        *_most("serve_rps_vs_fastapi/30 columns", ours, "fastapi_async", fastapi, FASTAPI_AIM),
        *_most("serve_rps_vs_mlflow/30 columns", ours, "mlflow", mlflow, MLFLOW_AIM),
        *_each({f"{name}/30 columns": found for name, found in figures.items()}),
    ]


def _measured(
    servers: Mapping[str, Server], predicts: Mapping[str, Callable[[], object]], sizes: Sizes
) -> tuple[dict[str, Figures], dict[str, float]]:
    """Return the figures of each server, and the median µs of each prediction in process; all take turns."""
    timings: dict[tuple[str, int], list[Timing]] = {}
    alone: dict[str, list[Timing]] = {}
    floors: dict[str, list[float]] = {}
    for _ in range(sizes.rounds):
        for name, predict in predicts.items():
            floors.setdefault(name, []).append(_p50(predict, sizes.requests // 10))
        for name, server in servers.items():
            with together(server):
                alone.setdefault(name, []).append(_asked(server, 1, sizes))
        for connections in CONNECTIONS:
            for name, server in servers.items():
                timing = _asked(server, connections, sizes)
                if connections > 1 and timing.busy > BUSY and name != "bare_socket":
                    raise RuntimeError(f"the client used {timing.busy:.0%} of its core: it was measured, not {name}")
                timings.setdefault((name, connections), []).append(timing)
    figures = {
        name: Figures(
            alone=_best(alone[name]),
            best={n: _best(timings[name, n]) for n in CONNECTIONS},
            mib=resident_mib(server.process),
        )
        for name, server in servers.items()
    }
    return figures, {name: min(found) for name, found in floors.items()}


def _asked(server: Server, connections: int, sizes: Sizes) -> Timing:
    return timed(
        Asking(
            port=server.port,
            connections=connections,
            times=round(sizes.requests * server.share),
            path=server.path,
            bodies=server.bodies,
            scores=server.scores,
        )
    )


def _best(found: list[Timing]) -> Timing:
    return Timing(
        p50=min(each.p50 for each in found),
        p99=min(each.p99 for each in found),
        per_s=max(each.per_s for each in found),
        busy=max(each.busy for each in found),
    )


def _each(figures: Mapping[str, Figures]) -> list[Result]:
    """Return what was measured of each server by itself."""
    rows: list[Result] = []
    for name, found in figures.items():
        rows += [
            result(f"server_{name}", found.alone.p50, "µs"),
            result(f"server_{name}/p99", found.alone.p99, "µs"),
            result(f"server_{name}/two cores", found.best[1].p50, "µs"),
            *(result(f"server_{name}/{n}", found.best[n].per_s, "requests/s") for n in CONNECTIONS),
            *(result(f"server_{name}/p99 at {n}", found.best[n].p99, "µs") for n in CONNECTIONS[1:]),
            result(f"server_{name}/memory", found.mib, "MiB"),
        ]
    return rows


def _beside(name: str, found: Figures, beside: str, floor: float, aim: float | None = None) -> list[Result]:
    return [
        result(name, found.alone.p50, "µs", beside=beside, beside_figure=floor, aim=aim),
        result(f"{name}/p99", found.alone.p99, "µs"),
        result(f"{name}/two cores", found.best[1].p50, "µs", beside=beside, beside_figure=floor, aim=aim),
    ]


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


def _p50(call: Callable[[], object], times: int) -> float:
    """Return the median time of a call in µs, after a tenth that does not count."""
    taken: list[int] = []
    for _ in range(times + times // 10):
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    return median(taken[times // 10 :]) / 1000
