"""A worker's own look at who is tried beside the champion: it takes back what is worse, and needs nobody for it."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.serving.ramp.tend import Tending
from mlops_assets.serving.routing.lanes import Answerer

GUARD_S = 2.0


async def guard(tending: Tending, everyone: Callable[[], Iterable[Answerer]], say: Callable[[str], object]) -> None:
    """Look every two seconds while `everyone` has a canary or a shadow, in a thread, and `say` what was done."""
    while True:
        await asyncio.sleep(GUARD_S)
        if not any(by.variant in ("canary", "shadow") for by in everyone()):
            continue
        try:
            said = await asyncio.to_thread(tending.tend, datetime.now(UTC), whole=False)
        except (OSError, BrokenEvidence, LookupError, ValueError, msgspec.DecodeError) as problem:
            said = [f"cannot look after who is tried: {type(problem).__name__}: {problem}"]
        for line in said:
            say(line)
