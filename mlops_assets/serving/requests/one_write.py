"""Uvicorn's HTTP, with head and body of an answer in one write; no request leaves it for another protocol."""

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent

_OK = 200


class OneWrite(HttpToolsProtocol):
    """A connection."""

    _asked_to_upgrade: tuple[bytes, int] | None = None

    def data_received(self, data: bytes) -> None:
        """Read on, also past a head that asks for another protocol."""
        HttpToolsProtocol.data_received(self, data)
        if self._asked_to_upgrade is not None:
            self._read_on(memoryview(data))

    def handle_websocket_upgrade(self) -> None:
        """Note the head of a request that asks for another protocol without that wish, and where its body begins.

        There is no other protocol here. The parser takes all that follows such a head for one, so it is replaced.
        """
        why = sys.exception()
        assert isinstance(why, httptools.HttpParserUpgrade)
        first = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [first, *(b"%b: %b" % each for each in _without_upgrade(self.headers)), b"", b""]
        self._asked_to_upgrade = b"\r\n".join(lines), int(why.args[0])
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn

    def _should_upgrade(self) -> bool:
        return self.parser.get_method() != b"CONNECT"  # which is another protocol without a wish

    def _read_on(self, data: memoryview) -> None:
        """Read the head that was noted, and what follows it in `data`; that may be another of its kind."""
        while self._asked_to_upgrade is not None:
            (head, at), self._asked_to_upgrade = self._asked_to_upgrade, None
            HttpToolsProtocol.data_received(self, head)
            data = data[at:]
            if data and not self.transport.is_closing():
                HttpToolsProtocol.data_received(self, data)  # pyright: ignore[reportArgumentType] - any buffer does

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        cycle.__class__ = _Cycle  # uvicorn has no other way to say which class it is
        HttpToolsProtocol._start_asgi_task(self, cycle, app)


def _without_upgrade(headers: list[tuple[bytes, bytes]]) -> Generator[tuple[bytes, bytes]]:
    """Yield headers without the wish for another protocol; a wish to close the connection stays."""
    for name, value in headers:
        if name == b"connection":
            left = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
            yield name, b",".join(left)
        elif name != b"upgrade":
            yield name, value


class _Cycle(RequestResponseCycle):
    """A request and its answer. One with status 200 goes out here: its headers are ours, so they are not looked over.

    They have to say its length. All other answers are left to uvicorn.
    """

    _head: "HTTPResponseStartEvent | None" = None

    async def send(self, message: "ASGISendEvent") -> None:
        """Write nothing yet of an answer that begins, and the whole of one that is complete."""
        head = self._head
        if head is None:
            if message["type"] == "http.response.start" and message["status"] == _OK and self.scope["method"] != "HEAD":
                self._head, self.response_started = message, True
            else:
                await super().send(message)
            return
        body = cast("HTTPResponseBodyEvent", message)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write(head, body["body"])

    def _write(self, head: "HTTPResponseStartEvent", body: bytes) -> None:
        parts = [STATUS_LINE[_OK]]
        for name, value in head.get("headers", ()):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(parts))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
