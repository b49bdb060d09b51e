"""Features as the endpoint computed them, against the same function run here."""

from collections.abc import Collection, Iterator, Mapping

import polars as pl
import polars.selectors as cs

from mlops_assets.evidence.records import Check, Json
from mlops_assets.features.transform import Transform
from mlops_assets.serving.log.keeping import features_digest
from mlops_assets.serving.log.sealed import DIGEST, FEATURE, INPUT
from mlops_assets.training.model import ModelSpec

TOLERANCE = 1e-9


def parity(
    sealed: pl.DataFrame,
    features: tuple[str, ...] | str,
    *,
    specs: Mapping[int, ModelSpec] | None = None,
    hidden: Collection[str] = (),
) -> Check:
    """Return the check that logged features, or their hashes, are those computed from the logged inputs; it warns.

    A list of columns is equal by construction: the endpoint logs the inputs themselves. A version's function is that of
    its spec in `specs`, else `features`. With `hidden` columns the log does not say what the features were made of.
    """
    if hidden and isinstance(features, str):
        why = f"not compared: the log does not hold {', '.join(sorted(hidden))}, which may be personal"
        return _check({}, {"rows": sealed.height, "different": 0, "not_compared": why})
    different: dict[str, int] = {}
    for rows, spec in _by_spec(sealed, specs or {}):
        function = features if spec is None else spec.transform
        if isinstance(function, str):
            for column, count in _differences(rows, function, spec).items():
                different[column] = different.get(column, 0) + count
    worst = {column: count for column, count in different.items() if count}
    return _check(worst, {"rows": sealed.height, "different": sum(worst.values()), "columns": sorted(worst)})


def restored(rows: pl.DataFrame, spec: ModelSpec) -> pl.DataFrame:
    """Return the rows of a model with the features of which the log holds a hash alone, where today's code makes them.

    Others stay null: there the features were different ones, which the check of the window says.
    """
    if spec.transform is None or DIGEST not in rows.columns or not rows[DIGEST].count():
        return rows
    if any(INPUT + name not in rows.columns for name in spec.inputs):
        return rows
    made = _offline(rows, spec.transform).select(spec.features)
    right = pl.Series(_digests(made)) == rows[DIGEST]
    filled = [
        pl.when(right).then(made[name]).otherwise(_logged(rows, name, made.schema[name])).alias(FEATURE + name)
        for name in spec.features
    ]
    return rows.with_columns(filled)


def _check(worst: Mapping[str, int], facts: dict[str, Json]) -> Check:
    return Check(name="online_equals_offline", passed=not worst, severity="warn", blocking=False, facts=facts)


def _by_spec(sealed: pl.DataFrame, specs: Mapping[int, ModelSpec]) -> Iterator[tuple[pl.DataFrame, ModelSpec | None]]:
    """Yield the rows of each known version, and those of all others together."""
    for version, spec in specs.items():
        rows = sealed.filter(pl.col("version") == version)
        if rows.height:
            yield rows, spec
    rest = sealed.filter(~pl.col("version").is_in(list(specs)))
    if rest.height:
        yield rest, None


def _differences(rows: pl.DataFrame, function: str, spec: ModelSpec | None) -> dict[str, int]:
    offline = _offline(rows, function)
    different: dict[str, int] = {}
    if spec is not None and DIGEST in rows.columns:
        known = rows[DIGEST].is_not_null()
        digests = pl.Series(_digests(offline.select(spec.features)))
        different[DIGEST] = int((digests != rows[DIGEST]).filter(known).sum())
        whole = rows.select(pl.any_horizontal(cs.starts_with(FEATURE).is_not_null())).to_series()
        rows, offline = rows.filter(~known | whole), offline.filter(~known | whole)
    online = rows.select(pl.col(c).alias(c.removeprefix(FEATURE)) for c in rows.columns if c.startswith(FEATURE))
    of_it = set(online.columns) if spec is None else set(online.columns) & set(spec.features)
    different |= {c: _different(online[c], offline[c]) for c in online.columns if c in offline.columns and c in of_it}
    wanted = set(offline.columns) if spec is None else set(spec.features)
    return different | {c: rows.height for c in of_it ^ wanted}


def _offline(rows: pl.DataFrame, function: str) -> pl.DataFrame:
    inputs = rows.select(pl.col(c).alias(c.removeprefix(INPUT)) for c in rows.columns if c.startswith(INPUT))
    return Transform(function).computed(inputs)


def _digests(features: pl.DataFrame) -> list[str]:
    return [features_digest(row).hex() for row in features.iter_rows()]


def _logged(rows: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    found = FEATURE + name
    return rows[found] if found in rows.columns else pl.Series(found, [None] * rows.height, dtype)


def _different(online: pl.Series, offline: pl.Series) -> int:
    if online.dtype == pl.String or offline.dtype == pl.String:
        return int((online.cast(pl.String).ne_missing(offline.cast(pl.String))).sum())
    a, b = online.cast(pl.Float64).fill_nan(None), offline.cast(pl.Float64).fill_nan(None)
    near = (a - b).abs() <= TOLERANCE * (1 + b.abs())
    return int((~(near.fill_null(False) | (a.is_null() & b.is_null()))).sum())
