"""The desired deployment -> the table that answers come from: loaded and checked aside, then swapped at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from mlops_assets.serving.routing.deploy import DESIRED, SERVED, Deployment, keep_served, read_deployment
from mlops_assets.serving.routing.router import Loader, Table
from mlops_assets.serving.workers import Registration

POLL_S = 0.01


class Follower:
    """Follows the file that says what is desired. Models are loaded in a thread of their own, one after the other."""

    def __init__(self, folder: Path, loader: Loader, registration: Registration, swap: Callable[[Table], None]) -> None:
        """Hand each table that was loaded to `swap`, and say in the registration what is served or refused."""
        self._folder = folder
        self._desired = folder / DESIRED
        self._loader = loader
        self._registration = registration
        self._swap = swap
        self._seen: tuple[int, int] | None = None
        self._thread = ThreadPoolExecutor(1, "load")
        self._warming: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Load the desired deployment whenever its file is replaced."""
        while True:
            await asyncio.sleep(POLL_S)
            if _stamp(self._desired) != self._seen:
                await self.load()

    async def load(self) -> None:
        """Load, check and then serve what is desired; if that fails, go on with what there is."""
        self._seen = _stamp(self._desired)  # before it is read, so that no replacement goes unseen
        try:
            deployment = read_deployment(self._folder)
        except msgspec.DecodeError as error:
            self._registration.refuses(None, f"{self._desired}: {error}")
            return
        if deployment is None:
            return
        if (error := await self._serve(deployment)) is None:
            self._warming = asyncio.create_task(self._warm(deployment))
        else:
            self._registration.refuses(deployment.id, f"{type(error).__name__}: {error}")

    async def start(self) -> None:
        """Load what is desired, or, if a worker that begins cannot, what one served last."""
        await self.load()
        if self._registration.worker.refused is None:
            return
        with suppress(msgspec.DecodeError):
            if (served := read_deployment(self._folder, SERVED)) is not None:
                worker = self._registration.worker
                await self._serve(served)
                self._registration.refuses(worker.refused, worker.error or "")

    async def _serve(self, deployment: Deployment) -> BaseException | None:
        """Swap to `deployment` once it is loaded, or return why it cannot be."""
        loading = asyncio.get_running_loop().run_in_executor(self._thread, self._loader.table, deployment)
        await asyncio.wait({loading})
        if (error := loading.exception()) is None:
            self._swap(loading.result())
            self._registration.serves(deployment.id)
            await asyncio.to_thread(keep_served, self._folder, deployment)
        return error

    async def _warm(self, deployment: Deployment) -> None:
        """Load what a rollback would serve, one model at a time, until there is something newer to serve."""
        for route in deployment.warm.values():
            if _stamp(self._desired) != self._seen:
                return
            loading = asyncio.get_running_loop().run_in_executor(self._thread, self._loader.warm, route)
            await asyncio.wait({loading})
            loading.exception()  # what cannot be loaded now is loaded, or refused, by the rollback itself


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
