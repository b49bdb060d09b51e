"""Acts on a product over HTTP, as its commands do them: roll back, give a version a share, approve.

Each is in the ledger with who did it, and deployed at once, without Dagster.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Conflict
from mlops_assets.evidence.step import NotReady
from mlops_assets.evidence.traffic import VariantName
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.acting import Desk, enter, pasted
from mlops_assets.registry.people.people import read_people
from mlops_assets.serving.answering.ways import Way, caller_of
from mlops_assets.serving.ramp.acts import roll_back, set_traffic, withdraw
from mlops_assets.serving.requests.http import JSON, Answer, Scope, header, json_answer
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.worker.events import Events
from mlops_assets.settings import Settings

Reason = Annotated[str, Meta(min_length=1, max_length=2000)]


class RollBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An earlier champion is to serve again: version `to`, or the one before; in one segment, or in all."""

    reason: Reason
    to: int | None = None
    segment: str | None = None


class Traffic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version is to have a share in % of a segment's requests, or copies as a shadow; `withdraw` ends what has it."""

    reason: Reason
    variant: VariantName | None = None
    version: int | None = None
    percent: Annotated[float, Meta(gt=0, lt=100)] | None = None
    segment: str | None = None
    withdraw: bool = False


class Approve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate is approved by a signed statement: what `mlops-assets approve --print` prints."""

    version: int
    statement: Annotated[str, Meta(max_length=20_000)]


Asked = TypeVar("Asked", RollBack, Traffic, Approve)
Act = Callable[[Settings, ModelProduct, Asked, str], list[str]]
"""Does what is asked by somebody, and returns what was done in lines; it raises as the command does."""


class _Done(msgspec.Struct):
    done: list[str]


class Steering:
    """Reads acts, and has them done one after the other in a thread of their own."""

    def __init__(self, settings: Settings, product: ModelProduct, events: Events) -> None:
        """Act on `product`."""
        self._settings = settings
        self._product = product
        self._events = events
        self._thread = ThreadPoolExecutor(1, "acts")

    def ways(self) -> dict[str, Way]:
        """Return what answers at which path."""
        model = f"/v2/models/{self._product.name}"
        return {
            f"{model}/rollback": Way("POST", "rollback", "operate", self._roll_back),
            f"{model}/traffic": Way("POST", "traffic", "operate", self._set_traffic),
            f"{model}/approve": Way("POST", "approve", "approve", self._approve),
        }

    async def _roll_back(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return await self._do(scope, body, RollBack, _roll_back)

    async def _set_traffic(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return await self._do(scope, body, Traffic, _set_traffic)

    async def _approve(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return await self._do(scope, body, Approve, _approve)

    async def _do(self, scope: Scope, body: bytes, kind: type[Asked], act: Act[Asked]) -> Answer:
        by = self._who(scope)
        try:
            asked = msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as problem:
            fields = ", ".join(kind.__struct_fields__)
            raise Refused(422, f"{problem}; right is an object with {fields}") from problem
        doing = asyncio.get_running_loop().run_in_executor(self._thread, act, self._settings, self._product, asked, by)
        try:
            lines = await asyncio.shield(doing)  # a client that leaves does not stop half of an act
        except LookupError as problem:
            raise Refused(404, str(problem.args[0] if problem.args else problem)) from problem
        except (Conflict, NotReady) as problem:
            raise Refused(409, str(problem)) from problem
        except ValueError as problem:
            raise Refused(422, str(problem)) from problem
        self._events.tell("act", {"kind": kind.__name__.lower(), "by": by, "done": lines})
        return json_answer(_Done(lines))

    def _who(self, scope: Scope) -> str:
        """Return who acts.

        Raises:
            Refused: If nobody says so, or if it may be a page in a browser that asks on its own.
        """
        caller = caller_of(scope)
        if caller is None:
            act = "approve" if scope["path"].endswith("/approve") else "operate"
            makes = f"mlops-assets access {self._product.name} add NAME --can {act}"
            how = "send it as header Authorization: Bearer KEY"
            raise Refused(403, f"this needs a key that may {act}, since who acts is kept; make one: {makes}; {how}")
        given = (header(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
        if given != JSON:
            raise Refused(415, f"content-type {given.decode('latin-1')[:60]!r}; right is application/json")
        return caller.by


def _roll_back(settings: Settings, product: ModelProduct, asked: RollBack, by: str) -> list[str]:
    return roll_back(settings, product, to=asked.to, segment=asked.segment, by=by, reason=asked.reason)


def _set_traffic(settings: Settings, product: ModelProduct, asked: Traffic, by: str) -> list[str]:
    if asked.withdraw:
        return withdraw(settings, product, asked.segment, by=by, reason=asked.reason)
    if asked.variant is None or asked.version is None:
        raise ValueError('right is {"variant": "canary", "version": 3, "percent": 5, …}, or {"withdraw": true, …}')
    share = None if asked.percent is None else asked.percent / 100
    to = {"by": by, "reason": asked.reason}
    return set_traffic(settings, product, asked.segment, asked.variant, asked.version, share, **to)


def _approve(settings: Settings, product: ModelProduct, asked: Approve, by: str) -> list[str]:
    """Enter a signed approval: it is the signature that counts, whoever sends it."""
    people = read_people(settings.defs)
    desk = Desk(archive=Archive(settings.home), product=product, people=people, now=datetime.now(UTC))
    act = pasted(desk, asked.version, "approve", asked.statement)
    where, ref = enter(desk, act), f"{product.name}@{asked.version}"
    if where.complete:
        said = f"{ref}: nobody is missing; Dagster's retrain sensor has it decided on within a minute"
    else:
        said = f"{ref}: waits for {' and '.join(where.missing)} to approve"
    return [f"{ref}: {act.by} agrees ({act.reason})", said]
