"""ASGI at its barest: a request read whole, an answer written at once."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

import msgspec

from mlops_assets.serving.requests.refusal import Problem, Refused

MAX_BODY = 32 * 1024 * 1024  # bytes; 10,000 rows of 100 columns
JSON = b"application/json"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


class Gone(Exception):
    """The client left before it had sent its request."""


class Answer(NamedTuple):
    """What goes back."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = JSON


class _Error(msgspec.Struct, omit_defaults=True):
    error: str
    problems: tuple[Problem, ...] = ()


def json_answer(value: object, headers: tuple[tuple[bytes, bytes], ...] = (), status: int = 200) -> Answer:
    """Return `value` as JSON."""
    return Answer(status, _encode(value), headers)


def refusal(refused: Refused) -> Answer:
    """Return what a client is told of a refused request."""
    return json_answer(_Error(str(refused), refused.problems), status=refused.status)


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request header by its lower-case name."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


async def read_body(receive: Receive) -> bytes:
    """Return the whole body.

    Raises:
        Refused: 413 if it is longer than `MAX_BODY`.
        Gone: If the client left.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if message["type"] == "http.disconnect":
            raise Gone
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise Refused(413, f"the body is longer than {MAX_BODY} bytes; send it in parts")
    return b"".join(parts)


async def send_answer(send: Send, answer: Answer) -> None:
    """Write `answer`."""
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [(b"content-type", answer.content_type), length, *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
