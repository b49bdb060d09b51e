"""Work of a request that takes long -> its result, from a thread of the pool, in the time that a request may take."""

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from mlops_assets.serving.requests.refusal import Refused

Given = TypeVarTuple("Given")
Made = TypeVar("Made")
RETRY = ((b"retry-after", b"1"),)


async def aside(time_s: float, work: Callable[[*Given], Made], *args: *Given) -> Made:
    """Return what `work` returns; the pool is bounded, so it may have to wait for its turn.

    Raises:
        Refused: 503 if that is not there in `time_s`; nothing is logged then, as nothing was answered.
    """
    try:
        async with asyncio.timeout(time_s):
            return await asyncio.to_thread(work, *args)
    except TimeoutError:
        said = f"not answered in {time_s:g} s (limits.time); right are fewer rows in a request, or to come again later"
        raise Refused(503, said, headers=RETRY) from None
