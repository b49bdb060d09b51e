"""What time it is for a product: the server's clock, or the replayed one of its newest endpoint."""

from datetime import datetime
from pathlib import Path

import msgspec


class _Worker(msgspec.Struct, frozen=True):
    clock: str
    started: datetime
    closed_until: datetime | None = None


def product_now(serving: Path, wall: datetime) -> datetime:
    """Return the product's time: that of its newest worker if it replays, else `wall`."""
    files = sorted(serving.glob("workers/*.json")) if serving.exists() else []
    workers = [msgspec.json.decode(file.read_bytes(), type=_Worker) for file in files]
    newest = max(workers, key=lambda worker: worker.started, default=None)
    if newest is None or newest.clock != "replay":
        return wall
    return max((w.closed_until for w in workers if w.clock == "replay" and w.closed_until), default=wall)
