"""What the tests of a window's ancestors say: a finding each, and together where the shift entered."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from mlops_assets.detection.verdict import ColumnShift, Kind, State
from mlops_assets.evidence.records import Input, Json, Struct

Ancestor = Literal["source", "dataset", "features", "requests", "logged features", "outputs"]
How = Literal["against training", "row by row"]
Where = Literal[
    "source",
    "between source and serving",
    "requests",
    "feature code",
    "between training and serving",
    "model",
    "cannot tell",
]
SHOWN = 3


class Finding(Struct, frozen=True, kw_only=True):
    """What a test says of one ancestor; `drift` row by row means that rows differ, `words` says from what.

    `asked` are the columns that were tested, `read` the records that hold the ancestor. `over` windows were judged
    one after the other, as those behind the verdict were.
    """

    ancestor: Ancestor
    how: How
    state: State
    kind: Kind = "data"
    p_value: float | None = None
    columns: tuple[ColumnShift, ...] = ()
    asked: tuple[str, ...] = ()
    smallest_shift: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    rows: int = 0
    over: int = 1
    words: str
    read: tuple[Input, ...] = ()

    @property
    def moved(self) -> tuple[str, ...]:
        """The columns that moved, or differ."""
        return tuple(shift.column for shift in self.columns) if self.state == "drift" else ()


class Origin(Struct, frozen=True, kw_only=True):
    """Where a shift entered, `columns` as they are called there, and the tests that say so in the order of the flow."""

    where: Where
    columns: tuple[str, ...]
    words: str
    tested: tuple[Finding, ...]


def unknown(why: str) -> Origin:
    """Return that nothing could be tested, and why."""
    return Origin(where="cannot tell", columns=(), words=f"cannot tell: {why}", tested=())


def summaries(found: Origin) -> dict[str, Json]:
    """Return in a line what each test said, by ancestor."""
    return {each.ancestor + (" row by row" if each.how == "row by row" else ""): _line(each) for each in found.tested}


def _line(finding: Finding) -> str:
    if finding.state == "cannot tell":
        return f"cannot tell: {finding.words}"
    if finding.how == "row by row":
        return finding.words
    sure = "" if finding.p_value is None else f" (p = {finding.p_value:.2g}, {finding.rows:,} rows)"
    return f"drift: {shown(finding.columns)}{sure}" if finding.state == "drift" else f"ok{sure}"


def shown(shifts: Sequence[ColumnShift]) -> str:
    """Return the words of the first shifts."""
    more = f"; and {len(shifts) - SHOWN} more" if len(shifts) > SHOWN else ""
    return "; ".join(shift.words for shift in shifts[:SHOWN]) + more
