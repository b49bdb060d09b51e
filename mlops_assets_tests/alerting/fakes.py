"""The ports of alerts, in memory, and a receiver of webhooks on this machine."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlops_assets.alerting.automation import Overdue, Sensor
from mlops_assets.alerting.messages import Message
from mlops_assets.alerting.notifier import Problem
from mlops_assets.alerting.runs import Run


@dataclass(kw_only=True)
class Outbox:
    """A notifier that keeps what it is sent; a destination in `broken` fails with its problem."""

    names: tuple[str, ...] = ("1 memory",)
    broken: dict[str, Problem] = field(default_factory=dict)
    sent: list[tuple[str, Message]] = field(default_factory=list)
    tried: list[tuple[str, Message]] = field(default_factory=list)

    def send(self, to: str, message: Message) -> Problem | None:
        self.tried.append((to, message))
        if to not in self.broken:
            self.sent.append((to, message))
        return self.broken.get(to)

    @property
    def titles(self) -> list[str]:
        return [message.title for _, message in self.sent]


@dataclass(kw_only=True)
class Orchestra:
    """An orchestrator that says what it was made with."""

    ran: list[Run] = field(default_factory=list)
    with_runs: set[str] = field(default_factory=set)
    ticking: list[Sensor] = field(default_factory=list)
    late: list[Overdue] = field(default_factory=list)
    beats: dict[str, datetime] = field(default_factory=dict)

    def runs(self, newest: str | None, under_way: Sequence[str]) -> tuple[list[Run], str | None]:
        return self.ran, newest

    def launched(self, decision: str) -> bool:
        return decision in self.with_runs

    def sensors(self, product: str) -> list[Sensor]:
        return self.ticking

    def overdue(self, product: str) -> list[Overdue]:
        return self.late

    def heartbeats(self) -> dict[str, datetime]:
        return self.beats


class Receiver:
    """An HTTP server on a free port that keeps what is posted to it, and answers with `status` after `delay_s`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status, self.answer, self.slow = 200, b"", threading.Event()
        self.slow.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                receiver.slow.wait(20)
                self.send_response(receiver.status)
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def url(self, path: str = "hook") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"

    def hang(self) -> None:
        """Answer nobody until `close`."""
        self.slow.clear()

    def close(self) -> None:
        self.slow.set()
        self._server.shutdown()
        self._server.server_close()
