"""ASGI at its barest: a request read whole, an answer written at once."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from mlops_assets.serving.requests.refusal import Problem, Refused

JSON = b"application/json"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


class Gone(Exception):
    """The client left before it had sent its request."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What goes back."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = JSON


class Failure(msgspec.Struct, omit_defaults=True):
    """What a request that is not answered gets: one sentence, and each problem. OIP knows the first."""

    error: str
    problems: tuple[Problem, ...] = ()


def json_answer(value: object, headers: tuple[tuple[bytes, bytes], ...] = (), status: int = 200) -> Answer:
    """Return `value` as JSON."""
    return Answer(status, _encode(value), headers)


def refusal(refused: Refused) -> Answer:
    """Return what a client is told of a refused request."""
    return json_answer(Failure(str(refused), refused.problems), refused.headers, refused.status)


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request header by its lower-case name."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return the whole body, of at most `limit` bytes.

    Raises:
        Refused: 413 if it is longer.
        Gone: If the client left.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= limit:
        if message["type"] == "http.disconnect":
            raise Gone
        return body
    parts, size = [body], len(body)
    while size <= limit and message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > limit:
        raise Refused(413, f"the body is longer than {limit} bytes; send it in parts")
    return b"".join(parts)


async def send_answer(send: Send, answer: Answer) -> None:
    """Write `answer`."""
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [(b"content-type", answer.content_type), length, *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
