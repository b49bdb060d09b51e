"""Answers that leave in one write are whole HTTP: in order when pipelined, closed where asked, no body to HEAD."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from mlops_assets_tests.serving.loans import INFER, ROW, Running

BODY = json.dumps(ROW).encode()


def request(*headers: str, version: str = "1.1", method: str = "POST") -> bytes:
    body = BODY if method == "POST" else b""
    lines = [f"{method} {INFER} HTTP/{version}", "host: here", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def said(endpoint: Running, sent: bytes) -> bytes:
    """All that the endpoint says until it closes."""
    address = urlsplit(endpoint.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_pipelined_requests_are_answered_in_their_order_each_whole(served: Running):
    found = said(served, request() * 3 + request("connection: close"))

    parts = found.split(b"HTTP/1.1 200 OK\r\n")[1:]
    heads, bodies = zip(*(part.split(b"\r\n\r\n", 1) for part in parts), strict=True)
    answers = [json.loads(body) for body in bodies]
    assert len(answers) == 4
    assert all(f"content-length: {len(body)}".encode() in head for head, body in zip(heads, bodies, strict=True))
    ids = [answer["inference_id"] for answer in answers]
    assert ids == sorted(set(ids))
    assert [b"connection: close" in head for head in heads] == [False, False, False, True]


@pytest.mark.parametrize("sent", [request("connection: close"), request(version="1.0")], ids=["close", "1.0"])
def test_a_connection_is_closed_where_the_client_wants_it(served: Running, sent: bytes):
    head, body = said(served, sent).split(b"\r\n\r\n", 1)

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["segment"] == "eu"


UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"),
    "websocket": ("connection: keep-alive, upgrade", "upgrade: websocket"),
}


@pytest.mark.parametrize("wish", UPGRADES.values(), ids=UPGRADES)
def test_who_asks_for_another_protocol_is_answered_in_this_one_and_so_is_what_follows(served: Running, wish):
    sent = request(*wish) * 2 + request() + request(*wish) + request("connection: close")

    answers = [json.loads(part.split(b"\r\n\r\n", 1)[1]) for part in said(served, sent).split(b"HTTP/1.1 200 OK")[1:]]

    ids = [answer["inference_id"] for answer in answers]
    assert len(ids) == 5
    assert ids == sorted(set(ids))


def test_who_asks_for_another_protocol_may_send_a_body_by_and_by_and_have_the_connection_closed(served: Running):
    whole = request("connection: close, upgrade", "upgrade: h2c")
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(0, len(whole), 9):
            connection.sendall(whole[place : place + 9])
        found = b"".join(iter(lambda: connection.recv(65_536), b""))

    head, body = found.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["segment"] == "eu"


def test_what_is_refused_is_left_to_uvicorn_and_head_has_no_body(served: Running):
    head, body = said(served, request("connection: close", method="HEAD")).split(b"\r\n\r\n", 1)

    assert head.startswith(b"HTTP/1.1 405 ")
    assert body == b""
