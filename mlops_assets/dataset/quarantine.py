"""Rows that failed -> one table that keeps them with their reason, and the checks that count them."""

import polars as pl

from mlops_assets.dataset.schemas import NO_LEAK, SAMPLE, SCHEMA, UNIQUE, Validated
from mlops_assets.evidence.records import Check, Json, digest
from mlops_assets.intake.cells import read


def quarantine_table(*failed: pl.DataFrame) -> pl.DataFrame:
    """Return failed rows of any columns as one table of text, `_reason` first; of an image it is the sha256."""
    texts = [frame.select(_text(frame[name]) for name in frame.columns) for frame in failed]
    return pl.concat([pl.DataFrame(schema={"_reason": pl.String}), *texts], how="diagonal")


def checks(rows: int, misfits: pl.DataFrame, validated: Validated, allowed: float) -> tuple[Check, ...]:
    """Return the checks `schema`, `keys_are_unique` and `no_time_leak` of a partition of `rows` rows.

    `misfits` are rows that could not be typed; they count for `schema`. A check passes while the share of rows that
    fail it is at most `allowed`, in [0, 1).
    """
    return tuple(_check(name, rows, misfits, validated, allowed) for name in (SCHEMA, UNIQUE, NO_LEAK))


def _text(cells: pl.Series) -> pl.Series:
    if cells.dtype != pl.Binary:
        return read(cells, "str")
    return pl.Series(cells.name, [None if cell is None else f"sha256 {digest(cell)}" for cell in cells], pl.String)


def _check(name: str, rows: int, misfits: pl.DataFrame, validated: Validated, allowed: float) -> Check:
    found = [failure for failure in validated.failures if failure.check == name]
    untyped = misfits["_reason"] if name == SCHEMA else misfits["_reason"].clear()
    failing = len(untyped) + validated.failing.get(name, 0)
    counts: dict[str, Json] = {f"{failure.column} {failure.rule}": failure.rows for failure in found}
    sample = [*untyped.head(SAMPLE), *(f"{f.column}: {cell} {f.rule}" for f in found for cell in f.sample)]
    facts: dict[str, Json] = {
        "rows": rows,
        "failing_rows": failing,
        "failures": {**counts, "not of its type": len(untyped)} if len(untyped) else counts,
        "sample": sample[: 2 * SAMPLE],
    }
    return Check(name=name, passed=failing <= allowed * rows, facts=facts)
