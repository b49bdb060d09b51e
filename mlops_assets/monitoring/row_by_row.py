"""The same rows in two places -> the columns in which they differ, and by what: a unit, or something else."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mlops_assets.detection.finding import Ancestor, Finding
from mlops_assets.detection.verdict import ColumnShift
from mlops_assets.evidence.records import Input

TOLERANCE = 1e-9  # relative: vectorised code may round otherwise than code for one number
STEADY = 1e-6  # relative: up to this, rows differ all by one factor, or all by one amount


def compared(
    ancestor: Ancestor, ours: pl.DataFrame, theirs: pl.DataFrame, *, from_what: str, read: Sequence[Input] = ()
) -> Finding:
    """Return what two tables of the same rows in the same order say of `ancestor`, whose rows are `ours`.

    `from_what` ends the sentence "price differs from …".
    """
    common = [name for name in ours.columns if name in theirs.columns]
    gone = [name for name in ours.columns if name not in theirs.columns]
    shifts = [_missing(name, from_what) for name in gone]
    shifts += [found for name in common if (found := _difference(ours[name], theirs[name], from_what)) is not None]
    shifts.sort(key=lambda shift: -shift.effect)
    words = "; ".join(shift.words for shift in shifts) or f"equal to {from_what} in {ours.height:,} rows"
    return Finding(
        ancestor=ancestor,
        how="row by row",
        state="drift" if shifts else "ok",
        columns=tuple(shifts),
        asked=tuple(ours.columns),
        rows=ours.height,
        words=words,
        read=tuple(read),
    )


def _missing(name: str, from_what: str) -> ColumnShift:
    return ColumnShift(column=name, effect=1.0, unit="share", p_value=0.0, words=f"{name} is missing in {from_what}")


def _difference(ours: pl.Series, theirs: pl.Series, from_what: str) -> ColumnShift | None:
    """Return the share of rows in which a column differs, and the factor or amount if it is always the same."""
    numeric = all(series.dtype.is_numeric() or series.dtype == pl.Boolean for series in (ours, theirs))
    if not numeric:
        count, by = int(_exact(ours).ne_missing(_exact(theirs)).sum()), ""
    else:
        a, b = (series.cast(pl.Float64).fill_null(float("nan")).to_numpy() for series in (ours, theirs))
        same = (np.isnan(a) & np.isnan(b)) | (a == b)
        differ = ~same & ~(np.abs(a - np.where(np.isinf(b), np.nan, b)) <= TOLERANCE * (1 + np.abs(b)))
        count, by = int(differ.sum()), _by(a[differ], b[differ])
    if not count:
        return None
    words = f"{ours.name} differs from {from_what} in {count:,} of {ours.len():,} rows{by}"
    return ColumnShift(column=ours.name, effect=round(count / ours.len(), 6), unit="share", p_value=0.0, words=words)


def _exact(cells: pl.Series) -> pl.Series:
    """Return cells as bytes: those of their text, or of a file."""
    return cells if cells.dtype == pl.Binary else cells.cast(pl.String).cast(pl.Binary)


def _by(a: np.ndarray, b: np.ndarray) -> str:
    if len(a) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return ""
    if (b != 0).all() and np.ptp(ratio := a / b) <= STEADY * abs(ratio).max():
        return f", each {ratio.mean():.4g} times as large"
    if np.ptp(step := a - b) <= STEADY * abs(step).max():
        return f", each {abs(step.mean()):.4g} {'higher' if step.mean() > 0 else 'lower'}"
    return ""
