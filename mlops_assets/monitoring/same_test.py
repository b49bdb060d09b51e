"""Rows of an ancestor, window after window -> what the drift test says of some of its columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from mlops_assets.detection.drift import judge
from mlops_assets.detection.finding import Ancestor, Finding
from mlops_assets.detection.sequence import Evidence
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.records import Input
from mlops_assets.training.bins import Bins, Counts, count
from mlops_assets.training.reference import Reference


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """The rows of an ancestor in one monitoring window, and its place in the season."""

    phase: int
    rows: pl.DataFrame


def finding_of(
    ancestor: Ancestor, windows: Sequence[Window], known: Reference, asked: Sequence[str], read: Sequence[Input]
) -> Finding:
    """Return what the test says of the columns `asked` after `windows`, oldest first; evidence is carried through them.

    Few columns are a small family of tests, so less goes unseen than in the window's own verdict, and not more.
    """
    part = narrowed(known, asked)
    windows = windows if part.bins.columns else ()
    carried: Evidence | None = None
    verdict = Verdict(state="cannot tell", kind="data", p_value=None, rows=0, windows=0, words="no column to test")
    for window in windows:
        phase = window.phase if known.phases else None
        judged = judge(count(window.rows, part.bins), part, phase=phase, carried=carried)
        verdict, carried = judged.verdict, judged.evidence
    return as_finding(ancestor, verdict, part.bins.columns, read)


def as_finding(ancestor: Ancestor, verdict: Verdict, asked: Sequence[str], read: Sequence[Input]) -> Finding:
    """Return a verdict on an ancestor as a finding; a change of schema is nothing that the test is about."""
    return Finding(
        ancestor=ancestor,
        how="against training",
        state="cannot tell" if verdict.kind == "schema" else verdict.state,
        kind=verdict.kind,
        p_value=verdict.p_value,
        columns=verdict.columns,
        asked=tuple(asked),
        smallest_shift=verdict.smallest_shift,
        rows=verdict.rows,
        over=verdict.over,
        words=verdict.words.removeprefix("cannot tell: "),
        read=tuple(read),
    )


def narrowed(known: Reference, columns: Sequence[str]) -> Reference:
    """Return the reference of some of its columns."""
    bins = Bins(
        numeric=[part for part in known.bins.numeric if part.column in columns],
        text=[part for part in known.bins.text if part.column in columns],
    )
    kept = [0, *(i + 1 for i, part in enumerate(known.bins.numeric) if part.column in columns)]
    cells = [i * (i + 1) // 2 + j for place, i in enumerate(kept) for j in kept[: place + 1]]  # of a lower triangle
    return msgspec.structs.replace(known, bins=bins, windows=[_narrowed(each, bins, cells) for each in known.windows])


def _narrowed(window: Counts, bins: Bins, cells: Sequence[int]) -> Counts:
    columns = {name: window.columns[name] for name in bins.columns}
    return msgspec.structs.replace(window, bins=bins.id, columns=columns, gram=[window.gram[cell] for cell in cells])
