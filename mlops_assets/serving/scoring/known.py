"""Which inference ids were given to rows of tables: `scored/<window>/<segment>.ids`, ascending, 16 bytes each.

So the endpoint takes outcomes of them. Files of scored rows that are not sealed yet have theirs beside.
"""

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from mlops_assets.evidence.store import replace
from mlops_assets.serving.log.frames import Data, mapped
from mlops_assets.serving.scoring.ids import id_bytes

WIDTH = 16


def keep_scored(folder: Path, window: str, name: str, ids: pl.Series) -> None:
    """Keep the ids that were given out for rows of a window under `name`, in the place of those kept so before."""
    replace(folder / "scored" / window / f"{name}.ids", id_bytes(ids.sort()).tobytes())


def scored_ids(folder: Path, window: str) -> Iterator[Data]:
    """Yield what is kept of the ids of a window."""
    for path in sorted((folder / "scored" / window).rglob("*.ids")):
        yield mapped(path)


def is_scored(kept: Data, request: bytes) -> bool:
    """Return whether an id is among those in a file."""
    at = bisect_left(range(len(kept) // WIDTH), request, key=lambda place: kept[place * WIDTH : (place + 1) * WIDTH])
    return kept[at * WIDTH : (at + 1) * WIDTH] == request
