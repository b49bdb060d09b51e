"""The endpoint and its peers, each as a process that answers the same rows by the same model."""

import os
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from benchmarks.measure import python
from benchmarks.served import Served, children, listening
from mlops_assets.evidence.records import Struct
from mlops_assets.settings import Settings

PEERS = Path(__file__).with_name("peers")
INFER = "/v2/models/{}/infer"
SELDOM = 0.25  # of the times that the fast ones are asked


class Server(Struct, frozen=True, kw_only=True):
    """How a server is asked: where, with which bodies, the number that each answer has, for which share of times."""

    port: int
    process: int
    path: str
    bodies: list[str]
    scores: list[float]
    share: float = 1.0


class Servers:
    """Starts servers of one product's model, which end with `running`."""

    def __init__(self, product: str, of: Served, settings: Settings, running: ExitStack) -> None:
        """Write the model as the peers read it into a folder beside the home."""
        self._product = product
        self._of = of
        self._settings = settings
        self._running = running
        self._folder = settings.home.parent / f"peers-{product}"
        self._folder.mkdir()
        self._objects = [msgspec.json.encode(row).decode() for row in of.rows]

    def ours(self, log: str = "whole", *, share: float = 1.0) -> Server:
        """Start an endpoint, with its log `whole`, `unlogged` or `synced`."""
        command = python("-m", "benchmarks.served", self._product, log)
        return self._started(f"ours-{log}", INFER.format(self._product), self._objects, command, share)

    def fastapi(self, how: str, *, share: float = 1.0) -> Server:
        """Start FastAPI with an `async` route, or a `def` one."""
        spec = self._of.spec
        model, known = self._folder / "model.txt", self._folder / "categories.json"
        model.write_text(self._of.model)
        known.write_bytes(msgspec.json.encode({name: spec.categories.get(name) for name in spec.features}))
        command = python(str(PEERS / "fastapi_server.py"), str(model), str(known), "0", how)
        return self._started(f"fastapi-{how}", "/predict", self._objects, command, share)

    def mlflow(self) -> Server:
        """Start MLflow's scoring server; it is asked with the model's numbers, as its flavour knows no levels."""
        folder, names = self._folder / "mlflow", self._of.spec.features
        _save_for_mlflow(self._of, folder)
        serve = str(Path(sys.executable).with_name("mlflow"))
        command = (serve, "models", "serve", "-m", str(folder), "--env-manager", "local", "--port", "0")
        asked = [{"dataframe_split": {"columns": names, "data": [row]}} for row in self._of.matrix.tolist()]
        bodies = [msgspec.json.encode(each).decode() for each in asked]
        return self._started("mlflow", "/invocations", bodies, command, SELDOM / 5)

    def bare_socket(self) -> Server:
        """Start a socket that answers at once, always the same."""
        found = self._started("bare-socket", "/", self._objects, python(str(PEERS / "bare_socket.py")))
        return msgspec.structs.replace(found, scores=[0.5] * len(found.bodies))

    def _started(self, name: str, path: str, bodies: list[str], command: Sequence[str], share: float = 1.0) -> Server:
        said = self._folder / f"{name}.txt"
        port, process = self._running.enter_context(listening(command, self._settings, said))
        return Server(port=port, process=process, path=path, bodies=bodies, scores=self._of.scores, share=share)


@contextmanager
def together(server: Server) -> Generator[None]:
    """Keep a server and its client on one core while the block runs: they take turns, so no core has to be woken."""
    cores = os.sched_getaffinity(0)
    try:
        _place(server.process, {min(cores)})
        yield
    finally:
        _place(server.process, cores)


def _place(process: int, cores: Collection[int]) -> None:
    """Let this process, whose children are the clients, and all threads of a server run on `cores` alone."""
    os.sched_setaffinity(0, cores)
    for child in [process, *children(process)]:
        for thread in Path(f"/proc/{child}/task").iterdir():
            with suppress(ProcessLookupError):  # it ended a moment ago
                os.sched_setaffinity(int(thread.name), cores)


def _save_for_mlflow(of: Served, folder: Path) -> None:
    """Save the model as MLflow's own LightGBM flavour."""
    import mlflow
    import pandas as pd
    from lightgbm import Booster
    from mlflow.models import infer_signature

    rows = pd.DataFrame(of.matrix, columns=of.spec.features)
    mlflow.lightgbm.save_model(Booster(model_str=of.model), str(folder), signature=infer_signature(rows))
