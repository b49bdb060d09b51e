"""Requests over kept-alive raw sockets -> how long answers took, each of which is looked at.

`python -m benchmarks.served_client` reads an `Asking` from its standard input and writes a `Timing`, both as JSON. It
is a process of its own; `busy` says how much of a core it used, so that it is not what is measured.
"""

import select
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from itertools import cycle

import msgspec
import numpy as np

from benchmarks.measure import python

END = b"\r\n\r\n"
WARM_SHARE = 0.1


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask: over how many connections, how many times in all, what, and the number that each answer has."""

    port: int
    connections: int
    times: int
    path: str
    bodies: list[str]
    scores: list[float]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of the time of an answer in µs, answers a second, and the client's share of its core, in [0, 1]."""

    p50: float
    p99: float
    per_s: float
    busy: float


class _Answer(msgspec.Struct):
    """Ours and FastAPI's answers have an output, MLflow's predictions."""

    output: float | None = None
    predictions: list[float] = []


def timed(asking: Asking) -> Timing:
    """Return the timing, measured in another process.

    Raises:
        RuntimeError: If an answer was wrong, or missing.
    """
    command = python("-m", "benchmarks.served_client")
    done = subprocess.run(command, input=msgspec.json.encode(asking), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"asking for {asking.path}: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Timing)


def ask(asking: Asking) -> Timing:
    """Return the timing, measured here, without the first tenth.

    Raises:
        RuntimeError: If an answer is wrong.
    """
    requests = [request_of(asking.path, body.encode()) for body in asking.bodies]
    turns = cycle(zip(requests, asking.scores, strict=True))
    warm = int(asking.times * WARM_SHARE)
    with ExitStack() as opened:
        connections = [opened.enter_context(connected(asking.port)) for _ in range(asking.connections)]
        took = opened.enter_context(closing(_taken(connections, turns)))
        for _ in range(warm):
            next(took)
        began, worked = time.perf_counter(), time.process_time()
        found = np.fromiter(took, np.int64, asking.times) / 1000
        passed, worked = time.perf_counter() - began, time.process_time() - worked
    p50, p99 = np.quantile(found, [0.5, 0.99]).tolist()
    return Timing(p50=p50, p99=p99, per_s=asking.times / passed, busy=worked / passed)


def _taken(connections: list[socket.socket], turns: Iterator[tuple[bytes, float]]) -> Generator[int]:
    """Yield the ns that each answer took; every connection has one request under way."""
    read = msgspec.json.Decoder(_Answer)
    by_number = {each.fileno(): each for each in connections}
    waiting: dict[int, tuple[int, float]] = {}

    def send(number: int) -> None:
        request, score = next(turns)
        waiting[number] = (time.perf_counter_ns(), score)
        by_number[number].sendall(request)

    with select.epoll() as poll:
        for number in by_number:
            poll.register(number, select.EPOLLIN)
            send(number)
        while True:
            for number in by_number if len(by_number) == 1 else [ready for ready, _ in poll.poll()]:
                body = answered(by_number[number])
                began, score = waiting[number]
                took = time.perf_counter_ns() - began
                answer = read.decode(body)
                said = answer.output if answer.output is not None else answer.predictions[0]
                if said != score:
                    raise RuntimeError(f"answered {said!r}; right is {score!r}")
                send(number)
                yield took


def answered(connection: socket.socket) -> bytes:
    """Return the body of an answer.

    Raises:
        RuntimeError: If it is no 200.
    """
    data = connection.recv(65_536)
    head, end, body = data.partition(END)
    while not end:
        if not (more := connection.recv(65_536)):
            raise RuntimeError(f"the server closed after {data!r}")
        data += more
        head, end, body = data.partition(END)
    length = int(head[head.index(b"content-length: ") + 16 :].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"answered {head.decode()} {body.decode()}")
    return body


def connected(port: int) -> socket.socket:
    """Return a connection to a server of this machine."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request_of(path: str, body: bytes) -> bytes:
    """Return a request with this body as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + END + body


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(ask(msgspec.json.decode(sys.stdin.buffer.read(), type=Asking))))
