"""A client that replays rows against an endpoint: one connection, in order, with the time each row belongs to."""

import http.client
import json
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

import polars as pl

PACE_S = 0.03
Value = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: its id, when it was asked for (replayed clock), who answered, and when it came (monotonic s)."""

    id: str
    at: datetime
    segment: str
    version: int
    label: int
    came: float


@dataclass(kw_only=True)
class Client:
    """Sends rows to one product's endpoint and keeps what came back. What failed is in `failures`."""

    url: str
    product: str
    answers: list[Answer] = field(default_factory=list[Answer])
    failures: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        """Open the connection at the first request."""
        self._connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)

    def predict(self, row: Mapping[str, Value], *, at: datetime, segment: str, label: int) -> None:
        """Ask for one prediction at the replayed time `at`."""
        path = f"/v2/models/{self.product}/infer"
        status, headers, body = self._post(path, row, {"mlops-clock": at.isoformat()})
        if status != 200:
            self.failures.append(f"{status} {body[:200].decode()}")
            return
        version, inference_id = int(headers["mlops-model-version"]), headers["mlops-inference-id"]
        self.answers.append(
            Answer(id=inference_id, at=at, segment=segment, version=version, label=label, came=time.monotonic())
        )

    def report(self, answers: Sequence[Answer]) -> None:
        """Report what became of earlier predictions."""
        outcomes = [{"inference_id": answer.id, "label": answer.label} for answer in answers]
        status, _, body = self._post(f"/v2/models/{self.product}/outcomes", {"outcomes": outcomes}, {})
        if status != 200:
            self.failures.append(f"{status} {body[:200].decode()}")

    def advance(self, at: datetime) -> None:
        """Move the replayed clock on without asking for anything, so that the window before `at` closes."""
        self._post("/v2/clock", {"at": at.isoformat()}, {})

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _post(self, path: str, body: object, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        sent = {"content-type": "application/json", **headers}
        self._connection.request("POST", path, json.dumps(body), sent)
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


@contextmanager
def replayed(client: Client, rows: pl.DataFrame, *, time_column: str, segment: str, label: str) -> Generator[None]:
    """Send `rows` in the background while the block runs: half at once, the rest over the block, then what is left."""
    over = threading.Event()
    sender = threading.Thread(target=_send, args=(client, rows, over, time_column, segment, label))
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def _send(
    client: Client, rows: pl.DataFrame, over: threading.Event, time_column: str, segment: str, label: str
) -> None:
    for place, row in enumerate(rows.iter_rows(named=True)):
        if (left := rows.height - place) < rows.height // 2:
            over.wait(PACE_S * rows.height / left)  # ever slower, so that some are left when a slow machine is done
        at: datetime = row.pop(time_column)
        client.predict(row, at=at, segment=str(row[segment]), label=int(row.pop(label)))
