"""What answers at a path, and what one must be allowed to do for it."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from mlops_assets.serving.access.access import Caller
from mlops_assets.serving.access.keys import Act
from mlops_assets.serving.requests.http import Answer, Scope

Handler = Callable[[Scope, bytes, int], Awaitable[Answer]]
"""From scope, body and when the request came (ns of the performance counter) to the answer."""

CALLER = "mlops.caller"  # where a scope says who asks, if that was asked


class Way(NamedTuple):
    """A path's method, what metrics call it, the act that it is (None: anybody may), and what answers.

    The path of a way has `*` where its last part, or the one after `versions`, may be anything.
    """

    method: Literal["GET", "POST"]
    name: str
    act: Act | None
    handler: Handler


def caller_of(scope: Scope) -> Caller | None:
    """Return who asks, or None where nobody has to say so."""
    return scope.get(CALLER)


def general(path: str) -> str:
    """Return a path with `*` in the place of the part that may be anything."""
    before, found, after = path.partition("/versions/")
    if not found:
        return f"{path[: path.rfind('/')]}/*"
    return f"{before}{found}*{after[after.find('/') :] if '/' in after else ''}"
