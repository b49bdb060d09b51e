"""What a window's test says: ok, drift or cannot tell, where, how much, and what it could not have seen."""

from typing import Literal

import msgspec

from mlops_assets.evidence.records import Struct

State = Literal["ok", "drift", "cannot tell"]
Kind = Literal["data", "prediction", "joint", "schema", "concept"]
Unit = Literal["sd", "share", "ratio"]


class ColumnShift(Struct, frozen=True, kw_only=True):
    """One column that moved. `effect` is signed: sd of training, share of rows, or ratio of sds less 1, by `unit`."""

    column: str
    effect: float
    unit: Unit
    p_value: float
    words: str


class Verdict(Struct, frozen=True, kw_only=True):
    """A window's verdict; `words` is the sentence that an operator reads.

    `p_value` is corrected for all components (None if it cannot tell); `windows` are the reference windows, and
    `as_extreme` how many of them lie as far out as this one. `smallest_shift` is, per numeric column, the shift of the
    mean in sd that a window of these rows would show in four of five cases. `promised` is the share of ordinary windows
    that may alarm; `over` is more than 1 where only that many windows together show the drift.
    """

    state: State
    kind: Kind
    p_value: float | None
    columns: tuple[ColumnShift, ...] = ()
    smallest_shift: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    rows: int
    windows: int
    as_extreme: int = 0
    promised: float = 0.0
    over: int = 1
    words: str


def concept(
    state: State,
    p_value: float | None,
    matured: int,
    words: str,
    *,
    promised: float,
    windows: int = 0,
    columns: tuple[ColumnShift, ...] = (),
    over: int = 1,
) -> Verdict:
    """Return a verdict on the relation of inputs and outcome, judged by `matured` labelled rows."""
    return Verdict(
        state=state,
        kind="concept",
        p_value=p_value,
        columns=columns,
        rows=matured,
        windows=windows,
        promised=promised,
        over=over,
        words=words,
    )
