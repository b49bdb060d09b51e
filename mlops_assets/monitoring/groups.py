"""Labelled predictions -> how the values of a declared request column fare beside each other."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.training.intervals import Measured, share
from mlops_assets.training.model import Task

FEWEST = 30  # rows below which a rate of a group is not shown: its 95% interval would be wider than a third
MOST = 20  # values of a column that are shown on their own, by rows; the others are one group
OTHERS = "(others)"
MISSING = "(missing)"

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Group(Struct, frozen=True, kw_only=True):
    """The rows of one value of a column. A rate that rests on too few rows is None, and so is one that is not defined.

    `selected` is the share of rows that is acted on; the other rates are of labelled rows.
    """

    name: str
    rows: int
    matured: int
    selected: Measured | None = None
    true_positive: Measured | None = None
    false_positive: Measured | None = None
    accuracy: Measured | None = None


class Compared(Struct, frozen=True, kw_only=True):
    """The groups of a column, most rows first; `ratio` is the lowest selection rate over the highest, in [0, 1].

    Under 0.8 it is what US employment law calls adverse impact (the four-fifths rule, 29 CFR 1607.4 D). It is None
    where fewer than two groups have enough rows. `problem` says why there are no groups.
    """

    column: str
    groups: tuple[Group, ...] = ()
    ratio: float | None = None
    lowest: str | None = None
    highest: str | None = None
    problem: str = ""


def compared(rows: pl.DataFrame, column: str, codes: Floats, task: Task, threshold: float) -> Compared:
    """Return the rates by value of request field `column`; `codes` are the labels, NaN where unknown.

    Several classes have no selection and no false positives: then there is accuracy only.
    """
    field = f"input.{column}"
    if field not in rows.columns:
        return Compared(column=column, problem=f"the requests of this window have no column {column!r}")
    names = rows[field].cast(pl.String).fill_null(MISSING)
    sizes = names.value_counts(name="rows").sort(["rows", field], descending=[True, False])
    known = sizes[field].head(MOST)
    named = names.set(~names.is_in(known.implode()), OTHERS).to_numpy()
    outputs = rows["output"].to_numpy()
    shown = [*known.to_list(), *([OTHERS] if len(sizes) > MOST else [])]
    places = {name: named == name for name in shown}
    groups = tuple(_group(name, outputs[at], codes[at], task, threshold) for name, at in places.items())
    rates = sorted((group.selected.value, group.name) for group in groups if group.selected)
    if len(rates) < 2:
        return Compared(column=column, groups=groups)
    (low, lowest), (high, highest) = rates[0], rates[-1]
    ratio = low / high if high else None
    return Compared(column=column, groups=groups, ratio=ratio, lowest=lowest, highest=highest)


def _group(name: str, outputs: Floats, codes: Floats, task: Task, threshold: float) -> Group:
    known, rows = np.isfinite(codes), len(codes)
    labels, given = codes[known], outputs[known]
    if task == "multiclass":
        return Group(name=name, rows=rows, matured=len(labels), accuracy=_rate(given == labels, rows=rows))
    positive, chosen = labels == 1, given >= threshold
    return Group(
        name=name,
        rows=rows,
        matured=len(labels),
        selected=_rate(outputs >= threshold),
        true_positive=_rate(chosen[positive]),
        false_positive=_rate(chosen[~positive]),
        accuracy=_rate(chosen == positive, rows=rows),
    )


def _rate(hits: Bools, *, rows: int | None = None) -> Measured | None:
    return share(int(hits.sum()), len(hits), rows=rows) if len(hits) >= FEWEST else None
