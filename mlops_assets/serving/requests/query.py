"""What a request asks for in its URL and headers: reasons, a version, and how its body is written."""

import re
from typing import Literal
from urllib.parse import parse_qsl

from mlops_assets.serving.requests.refusal import Refused

BodyType = Literal["json", "csv"]

# What needs no second look: JSON, what curl says where it is told nothing, Triton's tensors, and nothing at all.
PLAIN = frozenset(
    {
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=utf-8",
        b"application/x-www-form-urlencoded",
        b"application/octet-stream",
    }
)
_JSON = ("application/json", "application/x-www-form-urlencoded", "application/octet-stream")
_TAKEN = "application/json or text/csv, in UTF-8"


def explains(query: bytes) -> bool:
    """Return whether a URL's query asks for reasons; a misspelt one is no plain request.

    Raises:
        Refused: 400 naming what is not known.
    """
    if not query:
        return False
    found = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    for name, value in found:
        if name != "explain":
            raise Refused(400, f"query parameter {name[:60]!r} is not known; right is explain=true")
        if value not in ("true", "false"):
            raise Refused(400, f"explain={value[:60]!r}; right is true or false")
    return found[-1:] == [("explain", "true")]


def body_type(content_type: bytes | None, encoding: bytes | None) -> BodyType:
    """Return how a body is written, by its Content-Type and Content-Encoding.

    Raises:
        Refused: 415 if it is nothing that is read here.
    """
    if encoding is not None and encoding.lower() != b"identity":
        raise Refused(415, f"Content-Encoding is {encoding.decode('latin-1')[:60]!r}; right is an uncompressed body")
    if content_type in PLAIN:
        return "json"
    said = (content_type or b"").decode("latin-1")
    kind, *parameters = (part.strip().lower() for part in said.split(";"))
    for parameter in filter(None, parameters):
        if not re.fullmatch(r'charset="?utf-?8"?|header="?present"?', parameter):
            raise Refused(415, f"Content-Type is {said[:100]!r}; right is {_TAKEN}")
    if kind in _JSON:
        return "json"
    if kind == "text/csv":
        return "csv"
    raise Refused(415, f"Content-Type is {said[:100]!r}; right is {_TAKEN}")
