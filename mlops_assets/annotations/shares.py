"""Labels of two windows -> whether the shares of the classes have shifted between them."""

import math

import polars as pl

from mlops_assets.evidence.records import Check, Json

LEAST_LABELS = 50
LEAST_SHIFT = 0.05  # of a share in [0, 1]: a smaller shift is no news, however certain
LEAST_SPREADS = 0.25  # of a regression's label: the same, in standard deviations
CERTAIN = 3.09  # standard normal quantile of 0.999


def label_shares_are_steady(table: pl.DataFrame, before: pl.DataFrame | None) -> Check:
    """Return a warning if the shares of the labels (the mean, in a regression) are not those of the window before.

    Classes: Pearson's chi-square of the two by k table, its p-value below 0.001, and a share that moved by 0.05.
    Numbers: the difference of the means above 3.09 standard errors and a quarter of a standard deviation.
    """
    now = table["label"].drop_nulls()
    then = before["label"].drop_nulls() if before is not None else now.clear()
    facts: dict[str, Json] = {"labels": len(now), "labels_before": len(then)}
    if min(len(now), len(then)) < LEAST_LABELS:
        return _check(passed=True, facts={**facts, "said": f"cannot tell: fewer than {LEAST_LABELS} labels"})
    shift, certainty, least = _means(now, then) if now.dtype.is_numeric() else _shares(now, then)
    said: dict[str, Json] = {"largest_shift": round(shift, 4), "z": round(certainty, 2)}
    return _check(passed=not (certainty > CERTAIN and shift >= least), facts={**facts, **said})


def _check(*, passed: bool, facts: dict[str, Json]) -> Check:
    return Check(name="label_shares_are_steady", passed=passed, severity="warn", blocking=False, facts=facts)


def _shares(now: pl.Series, then: pl.Series) -> tuple[float, float, float]:
    counts = (
        now.value_counts(name="now")
        .join(then.value_counts(name="then"), on="label", how="full", coalesce=True)
        .fill_null(0)
    )
    expected = (pl.col("now") + pl.col("then")) / (len(now) + len(then))
    terms = [
        (pl.col(side) - expected * size) ** 2 / (expected * size)
        for side, size in (("now", len(now)), ("then", len(then)))
    ]
    chi2 = counts.select((terms[0] + terms[1]).sum()).item()
    shift = counts.select((pl.col("now") / len(now) - pl.col("then") / len(then)).abs().max()).item()
    return shift, _normal(chi2, counts.height - 1), LEAST_SHIFT


def _normal(chi2: float, freedom: int) -> float:
    """Return a chi-square as the standard normal quantile of the same p-value (Wilson and Hilferty, PNAS 17, 1931)."""
    if freedom == 0:
        return 0.0
    spread = 2 / (9 * freedom)
    return ((chi2 / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


def _means(now: pl.Series, then: pl.Series) -> tuple[float, float, float]:
    sides = [(float(side.mean() or 0), float(side.var() or 0), len(side)) for side in (now, then)]  # pyright: ignore
    error = math.sqrt(sum(variance / size for _, variance, size in sides))
    spread = math.sqrt(sum(variance for _, variance, _ in sides) / 2)
    shift = abs(sides[0][0] - sides[1][0])
    if spread == 0:
        return (0.0, 0.0, LEAST_SPREADS) if shift == 0 else (math.inf, math.inf, LEAST_SPREADS)
    return shift / spread, shift / error, LEAST_SPREADS
