"""Features as the endpoint computed them, against the same function run here."""

import polars as pl

from mlops_assets.evidence.records import Check, Json
from mlops_assets.features.transform import Transform
from mlops_assets.serving.log.sealed import FEATURE, INPUT

TOLERANCE = 1e-9


def parity(sealed: pl.DataFrame, features: tuple[str, ...] | str) -> Check:
    """Return the check that logged features equal those computed from the logged inputs; it warns.

    A list of columns is equal by construction: the endpoint logs the inputs themselves.
    """
    name = "online_equals_offline"
    if not isinstance(features, str) or not sealed.height:
        return Check(
            name=name, passed=True, severity="warn", blocking=False, facts={"rows": sealed.height, "different": 0}
        )
    inputs = sealed.select(pl.col(c).alias(c.removeprefix(INPUT)) for c in sealed.columns if c.startswith(INPUT))
    offline = Transform(features).apply(inputs.lazy()).collect()
    online = sealed.select(pl.col(c).alias(c.removeprefix(FEATURE)) for c in sealed.columns if c.startswith(FEATURE))
    different = {c: _different(online[c], offline[c]) for c in online.columns if c in offline.columns}
    different |= {c: sealed.height for c in set(online.columns) ^ set(offline.columns)}
    worst = {column: count for column, count in different.items() if count}
    facts: dict[str, Json] = {"rows": sealed.height, "different": sum(worst.values()), "columns": sorted(worst)}
    return Check(name=name, passed=not worst, severity="warn", blocking=False, facts=facts)


def _different(online: pl.Series, offline: pl.Series) -> int:
    if online.dtype == pl.String or offline.dtype == pl.String:
        return int((online.cast(pl.String).ne_missing(offline.cast(pl.String))).sum())
    a, b = online.cast(pl.Float64).fill_nan(None), offline.cast(pl.Float64).fill_nan(None)
    near = (a - b).abs() <= TOLERANCE * (1 + b.abs())
    return int((~(near.fill_null(False) | (a.is_null() & b.is_null()))).sum())
