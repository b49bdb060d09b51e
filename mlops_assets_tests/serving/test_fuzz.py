"""Whatever is sent: never a 5xx, never a hang, and the next request is answered as ever."""

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from mlops_assets_tests.serving.hostile import CSV, Hostile, hostile
from mlops_assets_tests.serving.loans import INFER, OUTCOMES, ROW, Running, post

DEADLINE_S = 10.0
GOOD = json.dumps(ROW).encode()


def answered(connection: http.client.HTTPConnection, request: Hostile) -> tuple[int, bytes]:
    """The answer, within the deadline; a connection that the endpoint has closed is opened again."""
    for _ in range(2):
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            connection.close()
    raise AssertionError(f"no answer at all to {str(request)[:1000]}")


def assert_harmless(served: Running, requests: Iterable[Hostile]) -> None:
    expected = served.post(INFER, ROW).body["output"]
    with closing(served.connect()) as connection:
        connection.timeout = DEADLINE_S
        for number, request in enumerate(requests):
            status, body = answered(connection, request)
            assert status < 500, (number, status, body[:300], request)
            if status >= 400 and request.method != "HEAD" and not body.startswith(b"Invalid HTTP"):
                assert json.loads(body)["error"], (number, status, body[:300], request)
            if number % 50 == 0:
                assert post(connection, INFER, ROW).body["output"] == expected, (number, request)
        assert post(connection, INFER, ROW).body["output"] == expected


@pytest.mark.chaos
def test_spoilt_requests_do_no_harm(served):
    assert_harmless(served, map(hostile, range(int(os.environ.get("FUZZ_BODIES", "2000")))))


def said(served: Running, data: bytes, *, ends: bool = True, hang_up: bool = False) -> bytes:
    """All that the endpoint says to raw bytes until it closes: the client `ends` what it sends, or hangs up at once."""
    host, _, port = urlsplit(served.url).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as connection:
        connection.sendall(data)
        if hang_up:
            return b""
        if ends:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(_received(connection))


def _received(connection: socket.socket) -> Iterator[bytes]:
    deadline = time.monotonic() + DEADLINE_S
    while data := connection.recv(65536):
        assert time.monotonic() < deadline
        yield data


def request(body: bytes = GOOD, *headers: str, length: int | None = None, path: str = INFER) -> bytes:
    """The bytes of one request; `length` is what it says of its body's."""
    sized = () if length == -1 else (f"content-length: {len(body) if length is None else length}",)
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *sized, *headers, "", ""]).encode() + body


def chunked(*chunks: bytes) -> bytes:
    parts = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    return request(b"", "transfer-encoding: chunked", length=-1) + parts + b"0\r\n\r\n"


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def test_requests_in_one_packet_are_answered_in_their_order(served):
    bad, csv = request(b"{"), request(CSV, "content-type: text/csv")

    answer = said(
        served,
        b"".join([request(), bad, csv, request(b"{}"), request()] * 20) + request(GOOD, "connection: close"),
        ends=False,
    )

    assert statuses(answer) == [200, 400, 200, 422, 200] * 20 + [200]


def test_a_body_in_pieces_is_one_body(served):
    answer = said(served, chunked(GOOD[:5], GOOD[5:6], GOOD[6:]))

    assert statuses(answer) == [200]


BROKEN = {
    "a body shorter than it says": request(GOOD, length=len(GOOD) + 10),
    "a body longer than it says": request(GOOD, length=10),
    "a length that is no number": request(GOOD, "content-length: x", length=-1),
    "a negative length": request(GOOD, "content-length: -5", length=-1),
    "two lengths": request(GOOD, "content-length: 3"),
    "a length and pieces": request(GOOD, "transfer-encoding: chunked"),
    "a piece of no size": request(b"zz\r\n" + GOOD, "transfer-encoding: chunked", length=-1),
    "a piece that ends early": request(b"ff\r\n" + GOOD, "transfer-encoding: chunked", length=-1),
    "pieces without an end": chunked(GOOD)[:-5],
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half a head": b"POST /v2/models/loans/infer HTTP/1.1\r\nhost",
    "a head without a version": b"POST /v2/models/loans/infer\r\n\r\n",
    "a bad header": request(GOOD, "bad header"),
    "nothing": b"",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("hang_up", [False, True])
def test_broken_http_is_closed_or_refused_and_the_next_request_answered(served, data, hang_up):
    answer = said(served, data, hang_up=hang_up)

    assert all(status == 200 or 400 <= status < 500 for status in statuses(answer)), answer
    assert served.post(INFER, ROW).status == 200


def test_two_hundred_clients_that_send_nothing_keep_nobody_waiting(served):
    host, _, port = urlsplit(served.url).netloc.partition(":")
    silent = [socket.create_connection((host, int(port)), timeout=DEADLINE_S) for _ in range(200)]
    for each in silent[::2]:
        each.sendall(request(GOOD, length=len(GOOD) + 1))

    began = time.monotonic()
    status = served.post(INFER, ROW).status

    for each in silent:
        each.close()
    assert (status, time.monotonic() - began < DEADLINE_S) == (200, True)


MANY = 8_000_000  # bytes; a quarter of what a body may have


def filled(text: bytes, size: int = MANY) -> bytes:
    """About `size` bytes of a text again and again, with commas between."""
    return b",".join([text] * (size // (len(text) + 1)))


def numbered(text: bytes) -> bytes:
    """As many numbered fields."""
    return b",".join(text % place for place in range(MANY // 12))


TENSOR = b'{"name":"a","shape":[1],"datatype":"FP64","data":[]}'
GIANT: dict[str, tuple[str, Callable[[], bytes], str, int]] = {
    "fields": (INFER, lambda: b'{"a":1,' + numbered(b'"f%d":1') + b"}", "", 422),
    "rows": (INFER, lambda: b'{"rows":[' + filled(b"{}") + b"]}", "", 413),
    "bad rows": (INFER, lambda: b'{"rows":[' + filled(b"{" + filled(b'"x":1', 1000) + b"}") + b"]}", "", 422),
    "tensors": (INFER, lambda: b'{"inputs":[' + filled(TENSOR) + b"]}", "", 422),
    "a tensor": (INFER, lambda: b'{"inputs":[' + TENSOR.replace(b"[]", b"[" + filled(b"1") + b"]") + b"]}", "", 422),
    "a shape": (INFER, lambda: b'{"inputs":[' + TENSOR.replace(b"[1]", b"[%d]" % 10**15) + b"]}", "", 413),
    "a name": (INFER, lambda: b'{"' + b"x" * MANY + b'":1}', "", 422),
    "a number": (INFER, lambda: b'{"age":' + b"9" * MANY + b"}", "", 422),
    "a text": (INFER, lambda: b'{"age":"' + b"x" * MANY + b'"}', "", 422),
    "columns": ("/invocations", lambda: b'{"inputs":{' + numbered(b'"c%d":[1]') + b"}}", "", 413),
    "a column": ("/invocations", lambda: b'{"inputs":{"a":[' + filled(b"1") + b"]}}", "", 413),
    "names": ("/invocations", lambda: b'{"dataframe_split":{"columns":[' + filled(b'"a"') + b'],"data":[]}}', "", 422),
    "columns of a CSV": (INFER, lambda: filled(b"a") + b"\n" + filled(b"1", 1000), "text/csv", 413),
    "rows of a CSV": (INFER, lambda: b"a\n" + b"1\n" * (MANY // 2), "text/csv", 413),
    "a cell of a CSV": (INFER, lambda: b'a\n"' + b"x" * MANY, "text/csv", 400),
    "outcomes": (OUTCOMES, lambda: b'{"outcomes":[' + filled(b'{"inference_id":"a","label":1}') + b"]}", "", 413),
}


@pytest.mark.parametrize(("path", "body", "kind", "status"), GIANT.values(), ids=GIANT)
def test_megabytes_of_nonsense_are_refused_in_few_words_and_soon(served, path, body, kind, status):
    with closing(served.connect()) as connection:
        connection.timeout = DEADLINE_S
        asked = Hostile(path=path, body=body(), headers={"content-type": kind} if kind else {})
        answer = answered(connection, asked)

    assert answer[0] == status, answer[1][:500]
    assert len(answer[1]) < 60_000
    assert served.post(INFER, ROW).status == 200
