"""Which inference ids are known, and how many rows each has: in the open log, or in what is left of a sealed one.

When a window's log files are dropped their ids stay, in `sealed/<window>/ids`: ascending, 20 bytes each, the id and its
number of rows. So an outcome that comes months late is still told from one for a prediction that never was.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from mlops_assets.evidence.store import replace
from mlops_assets.serving.log.frames import Data, Frame, find_frame, mapped
from mlops_assets.serving.log.ids import InferenceId, text, time_of
from mlops_assets.serving.log.writer import Body
from mlops_assets.serving.scoring.known import is_scored, scored_ids
from mlops_assets.windows import Grid

_WIDTH = 20
_body = msgspec.msgpack.Decoder(Body)


def canonical(folder: Path, grid: Grid, ids: Iterable[InferenceId]) -> dict[InferenceId, str | None]:
    """Return for each id the text under which its prediction is sealed, or None if the product never gave it out.

    A request of one row is sealed under the bare id, so `<id>.0` is the same; a row of a batch needs its number.
    """
    windows: dict[str, list[InferenceId]] = {}
    for each in ids:
        windows.setdefault(grid.key(time_of(each.request)), []).append(each)
    return {each: name for window, found in windows.items() for each, name in _named(folder, window, found)}


def rows_in(frame: Frame) -> int:
    """Return how many rows a logged request has."""
    return sum(len(part.rows) for part in _body.decode(frame.body).parts)


def keep_ids(folder: Path, window: str, frames: Iterable[Frame]) -> None:
    """Add the ids of `frames` to those that stay when the window's log is dropped."""
    path = _path(folder, window)
    old = mapped(path)[:] if path.exists() else b""
    entries = {old[at : at + _WIDTH] for at in range(0, len(old), _WIDTH)}
    entries |= {frame.id + rows_in(frame).to_bytes(4, "big") for frame in frames}
    replace(path, b"".join(sorted(entries)))


def _named(folder: Path, window: str, ids: list[InferenceId]) -> Iterator[tuple[InferenceId, str | None]]:
    open_files: list[Data] = []
    for path in (folder / "log" / window).glob("*.log"):
        try:
            open_files.append(mapped(path))
        except FileNotFoundError:  # dropped just now: its ids are in the kept ones, which are read after it
            continue
    path = _path(folder, window)
    kept = mapped(path) if path.exists() else b""
    scored = list(scored_ids(folder, window))
    for each in ids:
        rows = _rows(each.request, open_files, kept) or any(is_scored(data, each.request) for data in scored)
        yield each, _name(each, int(rows))


def _rows(request: bytes, open_files: list[Data], kept: Data) -> int:
    for data in open_files:
        if (frame := find_frame(data, request)) is not None:
            return rows_in(frame)
    at = bisect_left(range(len(kept) // _WIDTH), request, key=lambda i: kept[i * _WIDTH : i * _WIDTH + 16])
    entry = kept[at * _WIDTH : (at + 1) * _WIDTH]
    return int.from_bytes(entry[16:], "big") if entry[:16] == request else 0


def _name(each: InferenceId, rows: int) -> str | None:
    if rows == 1:
        return text(each.request) if not each.row else None
    return str(each) if each.row is not None and each.row < rows else None


def _path(folder: Path, window: str) -> Path:
    return folder / "sealed" / window / "ids"
