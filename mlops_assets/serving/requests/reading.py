"""A request for predictions, as HTTP brings it -> its form: what its headers, URL and body together ask for."""

from collections.abc import Iterable

from msgspec.structs import replace

from mlops_assets.serving.requests.forms import Form, Forms
from mlops_assets.serving.requests.http import Scope
from mlops_assets.serving.requests.query import PLAIN, body_type, explains
from mlops_assets.serving.requests.refusal import Refused

LONG = 65_536  # bytes of a body from which on it is read in a thread, so that others need not wait for it
VERSIONS = "/versions/"
_JSON_LENGTH = b"inference-header-content-length"
_DIGITS = 18


def infer_form(forms: Forms, scope: Scope, body: bytes) -> Form:
    """Return the form of a request to `/v2/models/<product>/infer` or to one of its versions.

    Raises:
        Refused: If anything of it cannot be read as what it says it is.
    """
    content_type, encoding, length = _headers(scope)
    if (content_type in PLAIN and encoding is None) or body_type(content_type, encoding) == "json":
        form = forms.infer(body, None if length is None else _number(length))
    else:
        form = forms.csv(body, "rows")
    path: str = scope["path"]
    if VERSIONS in path:
        form = replace(form, version=version_of(path))
    return replace(form, explain=True) if explains(scope["query_string"]) else form


def invocations_form(forms: Forms, scope: Scope, body: bytes) -> Form:
    """Return the form of a request to `/invocations`.

    Raises:
        Refused: If anything of it cannot be read as what it says it is.
    """
    content_type, encoding, _ = _headers(scope)
    form = forms.csv(body, "mlflow") if body_type(content_type, encoding) == "csv" else forms.invocations(body)
    return replace(form, explain=True) if explains(scope["query_string"]) else form


def version_of(path: str) -> str:
    """Return the version in a path such as `/v2/models/loans/versions/7/infer`."""
    return path.partition(VERSIONS)[2].partition("/")[0]


def _headers(scope: Scope) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return Content-Type, Content-Encoding and Inference-Header-Content-Length."""
    content_type = encoding = length = None
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-encoding":
            encoding = value
        elif name == _JSON_LENGTH:
            length = value
    return content_type, encoding, length


def _number(length: bytes) -> int:
    if not length.isdigit() or len(length) > _DIGITS:
        raise Refused(400, f"header Inference-Header-Content-Length: found {length[:60]!r}; right is a number of bytes")
    return int(length)
