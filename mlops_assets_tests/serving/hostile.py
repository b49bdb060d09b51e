"""Requests that nobody should send: right ones of every form, spoilt in one to four places, by a seed."""

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mlops_assets_tests.serving.loans import INFER, OUTCOMES, ROW

OTHER = {**ROW, "salary": None, "job": "clerk", "region": "us"}
NAMES = ["age", "salary", "job", "region"]
TENSORS = [
    {"name": "age", "shape": [2], "datatype": "INT64", "data": [40, 41]},
    {"name": "salary", "shape": [2, 1], "datatype": "FP64", "data": [[2500.5], [1.0]]},
    {"name": "job", "shape": [2], "datatype": "BYTES", "data": ["nurse", "clerk"]},
    {"name": "region", "shape": [2], "datatype": "BYTES", "data": ["eu", "us"]},
]
COLUMNS: dict[str, object] = {name: [ROW[name], OTHER[name]] for name in NAMES}
SPLIT = {"columns": NAMES, "data": [[ROW[name] for name in NAMES], [OTHER[name] for name in NAMES]]}
CSV = b"age,salary,job,region\n40,2500.5,nurse,eu\n41,,clerk,us\n"
ID = "01a1fe29-3948-7005-a2cc-29250a79f968"
RIGHT: list[tuple[str, object]] = [
    (INFER, ROW),
    (INFER, {"rows": [ROW, OTHER]}),
    (INFER, {"id": "mine", "inputs": TENSORS, "outputs": [{"name": "output", "parameters": {"binary_data": True}}]}),
    ("/invocations", {"dataframe_split": SPLIT}),
    ("/invocations", {"dataframe_records": [ROW, OTHER]}),
    ("/invocations", {"instances": ROW}),
    ("/invocations", {"inputs": COLUMNS}),
    (OUTCOMES, {"outcomes": [{"inference_id": ID, "label": 1}, {"inference_id": f"{ID}.1", "label": "0"}]}),
]
NASTY: list[object] = [
    *(None, True, False, 0, -1, 1.5, -0.0, 1e308, 5e-324, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, "", "\0", "NaN"),
    *([], {}, [[]], [None], {"": None}, "x" * 5000, "💥", "\u202e", "eu", "40", "2026-01-01T00:00:00", [1] * 300),
    *({"$ref": "#"}, {"__class__": "x"}, "';--", "%s%n", {"inputs": []}, {"rows": []}, list("abc"), "e" * 2, 1e-400),
]
TOKENS = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b"00",
    b"\\ud800",
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b"{",
    b"]",
    b'"',
    b",",
]
TYPES = [
    "text/csv",
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=latin-1",
    "text/xml",
]
PATHS = [
    *("/v2/models/loans/versions/1/infer", "/v2/models/loans/versions/99/infer", "/v2/models/loans/versions//infer"),
    *("/v2/models/loans/versions/%00/infer", "/v2/models//infer", "//", "/%ff", "/v2/models/loans/infer/../infer"),
    *("/v2/models/loans/versions/1/versions/2/infer", "/" + "a" * 5000, "/v2/models/loans/versions/" + "9" * 300),
]
QUERIES = [
    "?explain=true",
    "?explain=1",
    "?explain",
    "?a=b&explain=true",
    "?" + "x" * 3000,
    "?explain=true&explain=%ff",
]


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """One request."""

    method: str = "POST"
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])


def hostile(seed: int) -> Hostile:
    """Return the request of this seed."""
    draw = random.Random(seed)
    path, body = draw.choice(RIGHT)
    kind = draw.randrange(10)
    if kind == 0:
        made = _binary(draw)
    elif kind == 1:
        made = Hostile(path=draw.choice([INFER, "/invocations"]), body=CSV, headers={"content-type": "text/csv"})
    else:
        made = Hostile(path=path, body=json.dumps(_spoilt(body, draw) if kind < 7 else body).encode())
    for _ in range(draw.randrange(1, 4)):
        made = draw.choice(_CHANGES)(made, draw)
    return made


def _spoilt(value: object, draw: random.Random) -> object:
    """Return JSON with something nasty in the place of one of its values, or beside them."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        name = draw.choice(list(value))
        if draw.random() < 0.1:
            return {key: each for key, each in value.items() if key != name}
        if draw.random() < 0.1:
            return {**value, draw.choice(["x", "", "c0", "\0", "inputs", "rows", "id"]): draw.choice(NASTY)}
        return {**value, name: _spoilt(value[name], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        return [*value[:at], _spoilt(value[at], draw), *value[at + 1 :]]
    if draw.random() < 0.05:
        nested: object = 1
        for _ in range(draw.choice([5, 500])):
            nested = [nested]
        return nested
    return draw.choice(NASTY)


def _binary(draw: random.Random) -> Hostile:
    """Return tensors of which some are binary, with sizes, datatypes and an end of the JSON that may be wrong."""
    parts: list[bytes] = []
    inputs: list[dict[str, object]] = []
    values = {
        "age": struct.pack("<qq", 40, 41),
        "salary": struct.pack("<dd", 2500.5, draw.choice([1.0, float("nan"), float("inf")])),
        "job": b"".join(struct.pack("<I", 5) + text for text in (b"nurse", b"clerk")),
        "region": b"".join(struct.pack("<I", 2) + text for text in (b"eu", b"us")),
    }
    for tensor in TENSORS:
        data = values[str(tensor["name"])]
        size = len(data) + draw.choice([0, 0, 0, 0, 0, 1, -1, 8, -8, 2**40, -(2**40)])
        datatype = draw.choice([str(tensor["datatype"])] * 8 + ["FP16", "UINT8", "BOOL", "BYTES", "FP32"])
        inputs.append(
            {"name": tensor["name"], "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": size}}
        )
        parts.append(data)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": draw.choice([True, False, 3])}}).encode()
    length = len(head) + draw.choice([0, 0, 0, 0, 1, -1, 100_000, -len(head)])
    return Hostile(path=INFER, body=head + b"".join(parts), headers={"inference-header-content-length": str(length)})


def _same(made: Hostile, draw: random.Random) -> Hostile:
    return made


def _bytes(made: Hostile, draw: random.Random) -> Hostile:
    body = bytearray(made.body)
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(body) + 1)
        change = draw.randrange(4)
        if change == 0 and at < len(body):
            body[at] = draw.randrange(256)
        elif change == 1:
            body[at:at] = draw.choice(TOKENS)
        elif change == 2:
            del body[at : at + draw.randrange(20)]
        else:
            body[at:at] = body[at : at + draw.randrange(40)]  # also how a key comes to be there twice
    return replace(made, body=bytes(body))


def _cut(made: Hostile, draw: random.Random) -> Hostile:
    return replace(made, body=made.body[: draw.randrange(len(made.body) + 1)])


def _noise(made: Hostile, draw: random.Random) -> Hostile:
    return replace(made, body=draw.randbytes(draw.choice([0, 1, 50, 5000])))


def _deep(made: Hostile, draw: random.Random) -> Hostile:
    depth = draw.choice([100, 3000])
    return replace(made, body=draw.choice([b"[", b'{"rows":', b'{"a":']) * depth)


def _typed(made: Hostile, draw: random.Random) -> Hostile:
    return replace(made, headers={**made.headers, "content-type": draw.choice(TYPES)})


def _header(made: Hostile, draw: random.Random) -> Hostile:
    name = draw.choice(
        ["inference-header-content-length", "content-encoding", "mlops-clock", "accept", "authorization"]
    )
    return replace(
        made, headers={**made.headers, name: draw.choice(["", "0", "-1", "9" * 30, "gzip", "\xff", "1e3", "7"])}
    )


def _elsewhere(made: Hostile, draw: random.Random) -> Hostile:
    return replace(made, path=draw.choice(PATHS))


def _asked(made: Hostile, draw: random.Random) -> Hostile:
    return replace(made, path=made.path.partition("?")[0] + draw.choice(QUERIES))


def _method(made: Hostile, draw: random.Random) -> Hostile:
    return replace(made, method=draw.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "X"]))


_CHANGES: list[Callable[[Hostile, random.Random], Hostile]] = [
    *([_same] * 6),
    *([_bytes] * 3),
    *(_cut, _noise, _deep, _typed, _header, _elsewhere, _asked, _asked, _method),
]
