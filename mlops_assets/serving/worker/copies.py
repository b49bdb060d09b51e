"""The store, with copies of the models served last beside the log: an endpoint starts again while the store is away."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlops_assets.evidence.records import BrokenEvidence, File, digest
from mlops_assets.evidence.store import Store, replace
from mlops_assets.serving.routing.deploy import Deployment


class Copying(Store):
    """A store that is read through `folder`. On the same disk a copy is a hard link, and takes no room."""

    def __init__(self, root: Path, folder: Path, away: Callable[[str], object]) -> None:
        """Read files of the store at `root`; `away` is told the name of each that only a copy could give."""
        super().__init__(root)
        self._folder = folder
        self._away = away

    def get_bytes(self, file: File) -> bytes:
        """Return the bytes of `file`, their hash compared; from the copy if the store is away.

        Raises:
            BrokenEvidence: If there is neither, or the store's file is there and changed: a copy hides no damage.
        """
        copy = self._folder / file.sha256
        try:
            data = super().get_bytes(file)
        except (BrokenEvidence, OSError) as problem:
            missing = isinstance(problem, OSError) or isinstance(problem.__cause__, FileNotFoundError)
            kept = _read(copy) if missing else b""
            if digest(kept) != file.sha256:
                raise
            self._away(file.address)
            return kept
        if not copy.exists():
            with suppress(OSError):  # no room for a copy: it serves all the same
                self._copy(self.root / file.address, copy, data)
        return data

    def forget(self, *named: Deployment) -> None:
        """Delete the copies of files that no deployment among `named` has."""
        routes = [route for each in named for route in [*each.routes.values(), *each.warm.values()]]
        routes += [each.route for deployment in named for found in deployment.beside.values() for each in found]
        wanted = {file.sha256 for route in routes for file in (route.model, route.spec)}
        for path in self._folder.glob("*"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def _copy(self, path: Path, copy: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, copy)
        except OSError:  # another disk
            replace(copy, data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
