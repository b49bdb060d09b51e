"""What the endpoint should serve, written in one file; and which of its workers do."""

import http.client
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from mlops_assets.evidence.records import File, Struct
from mlops_assets.evidence.store import replace
from mlops_assets.evidence.traffic import VariantName
from mlops_assets.serving.workers import Worker, live_workers

DESIRED, SERVED = "desired.json", "served.json"
_PAUSE_S = 0.05
_ANSWER_S = 2.0


class Route(Struct, frozen=True, kw_only=True):
    """The champion of a segment: version and record, its bytes and its spec in the store."""

    version: int
    record: str
    model: File
    spec: File


class Beside(Struct, frozen=True, kw_only=True):
    """Who answers beside a champion: a canary or a split a `share` (0 to 1) of the requests, a shadow copies of all.

    `salt` decides which requests, and stays while a ramp grows: who has been answered by it goes on to be.
    """

    name: VariantName
    route: Route
    share: float
    salt: str


class Deployment(Struct, frozen=True, kw_only=True):
    """One version set for all segments. An unknown segment goes to the one named `fallback`, if any.

    `warm` are the champions before, loaded too, so that a rollback need only point to them.
    """

    id: str
    product: str
    at: str
    routes: dict[str, Route]
    fallback: str | None = None
    beside: dict[str, list[Beside]] = msgspec.field(default_factory=dict[str, list[Beside]])
    warm: dict[str, Route] = msgspec.field(default_factory=dict[str, Route])


class _Metadata(msgspec.Struct):
    deployment: str | None


def write_deployment(folder: Path, deployment: Deployment) -> None:
    """Ask all workers of the product at `folder` to serve `deployment`, by replacing one file at once."""
    replace(folder / DESIRED, msgspec.json.encode(deployment))


def read_deployment(folder: Path, name: str = DESIRED) -> Deployment | None:
    """Return the desired deployment, or that of another file; None before the first.

    Raises:
        msgspec.DecodeError: If the file is no deployment; the message names the field.
    """
    path = folder / name
    return msgspec.json.decode(path.read_bytes(), type=Deployment) if path.exists() else None


def keep_served(folder: Path, deployment: Deployment) -> None:
    """Note that a worker serves `deployment`: one that starts, and cannot load what is desired, serves this."""
    with suppress(OSError):  # a full disk: the note is of an earlier one
        replace(folder / SERVED, msgspec.json.encode(deployment))


def wait_until_served(folder: Path, deployment_id: str, timeout_s: float) -> list[Worker]:
    """Return the live workers that answer with `deployment_id`, as soon as every other one has refused it.

    Without a live worker there is nothing to wait for. After `timeout_s` those that answer by then are returned.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        live = live_workers(folder, datetime.now(UTC))
        answering = [worker for worker in live if answers(worker) == deployment_id]
        waiting = [worker for worker in live if worker not in answering]
        if all(worker.refused == deployment_id for worker in waiting) or time.monotonic() > deadline:
            return answering
        time.sleep(_PAUSE_S)


def answers(worker: Worker) -> str | None:
    """Return the deployment that `worker` says over HTTP it serves; None if it serves none or does not answer."""
    connection = http.client.HTTPConnection(urlsplit(worker.url).netloc, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/v2/health/ready")  # it asks for no key
        return msgspec.json.decode(connection.getresponse().read(), type=_Metadata).deployment
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()
