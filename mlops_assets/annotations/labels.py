"""Judgements from the source and from reported outcomes -> one label per item, and what is checked about labels.

A table of labels has, by item: `_key`, `label` (text; a float in a regression; null if tied), `annotators` (names with
commas), `annotator_count`, `confidence` in [0, 1], `posterior` (JSON), `tie`, `event_time`, `known_since`.
"""

import json
from collections.abc import Sequence

import polars as pl

from mlops_assets.annotations.aggregate import aggregate
from mlops_assets.evidence.records import Check, Json
from mlops_assets.intake.cells import label_text, read
from mlops_assets.product import ModelProduct

CONFIDENT = 0.90
SHOWN = 5
MOMENT = pl.Datetime("us", "UTC")
JUDGEMENT = {"_key": pl.String, "annotator": pl.String, "label": pl.String, "event_time": MOMENT, "known_since": MOMENT}
ORDER = (
    *("_key", "label", "annotators", "annotator_count", "confidence", "posterior", "tie"),
    *("event_time", "known_since"),
)


def source_judgements(rows: pl.DataFrame, product: ModelProduct) -> pl.DataFrame:
    """Return the source's labels of placed `rows`, known `label.delay` after the row's time; blank cells are none.

    They are those of the annotators that the source names, else of the source as one annotator.
    """
    judged = rows.select(
        "_key",
        annotator=pl.col(product.label.annotator) if product.label.annotator else pl.lit("source"),
        label=_read(rows[product.label.column], product),
        event_time="_time",
        known_since=pl.col("_time") + product.label.delay,
    )
    return judged.drop_nulls(["_key", "label"])


def outcome_judgements(outcomes: pl.DataFrame, predictions: pl.DataFrame, product: ModelProduct) -> pl.DataFrame:
    """Return reported outcomes of sealed predictions, by the key that the request gave (else its inference id)."""
    predicted = predictions.select("inference_id", _key=item_key(), event_time="at")
    known = outcomes.select(
        "inference_id", label=_read(outcomes["label"], product), annotator=pl.lit("outcome"), known_since="received_at"
    )
    return known.join(predicted, on="inference_id").select(list(JUDGEMENT)).drop_nulls("label")


def item_key() -> pl.Expr:
    """Return the key of a predicted row."""
    return pl.coalesce("key", "inference_id")


def label_table(judgements: Sequence[pl.DataFrame], product: ModelProduct) -> pl.DataFrame:
    """Return one label per item, sorted by key. Of one annotator's judgements of an item the latest counts."""
    regression = product.label.kind == "regression"
    empty = pl.DataFrame(schema={**JUDGEMENT, "label": pl.Float64() if regression else pl.String()})
    latest = (
        pl.concat([empty, *(table.select(list(JUDGEMENT)) for table in judgements)])
        .sort("known_since", maintain_order=True)
        .unique(["_key", "annotator"], keep="last", maintain_order=True)
    )
    repeated = latest["_key"].is_duplicated()
    single, several = latest.filter(~repeated), latest.filter(repeated)
    tables = [_single(single)] + ([_several(several, regression=regression)] if several.height else [])
    return pl.concat([table.select(ORDER) for table in tables]).sort("_key")


def labels_are_known(table: pl.DataFrame, classes: Sequence[str] | None) -> Check:
    """Return whether every label is one of `classes`, where they are known; a number has to be finite."""
    known = pl.col("label").is_finite() if table["label"].dtype.is_numeric() else pl.lit(True)
    if classes is not None:
        known = pl.col("label").is_in(list(classes))
    unknown = table.filter(pl.col("label").is_not_null() & ~known)
    found = [str(label) for label in unknown["label"].unique().sort().head(SHOWN)]
    facts: dict[str, Json] = {
        "labels": table.height,
        "unknown": unknown.height,
        "found": found,
        "known": list(classes or ()),
    }
    return Check(name="labels_are_known", passed=unknown.is_empty(), facts=facts)


def labels_are_confident(table: pl.DataFrame, share: float = 0.90) -> Check:
    """Return whether at least `share` of the labels have a confidence of 0.90 or more; ties count as not confident."""
    confident = table.filter((pl.col("confidence") >= CONFIDENT) & ~pl.col("tie")).height
    reached = confident / table.height if table.height else 1.0
    facts: dict[str, Json] = {
        "labels": table.height,
        "confident_share": round(reached, 4),
        "ties": int(table["tie"].sum()),
        "right": share,
    }
    return Check(name="labels_are_confident", passed=reached >= share, facts=facts)


def _read(cells: pl.Series, product: ModelProduct) -> pl.Series:
    return read(cells, "float") if product.label.kind == "regression" else label_text(cells)


def _single(latest: pl.DataFrame) -> pl.DataFrame:
    """Return the items that one annotator judged: what it said, for sure."""
    posterior = pl.lit(None, pl.String)
    if latest["label"].dtype == pl.String:
        names = latest["label"].unique().to_list()
        said = [json.dumps({name: 1.0}) for name in names]
        posterior = pl.col("label").replace_strict(names, said, return_dtype=pl.String)
    return latest.with_columns(
        annotators="annotator",
        annotator_count=pl.lit(1, pl.Int64),
        confidence=pl.lit(1.0),
        posterior=posterior,
        tie=pl.lit(False),
    )


def _several(latest: pl.DataFrame, *, regression: bool) -> pl.DataFrame:
    """Return the items that several judged: the most likely class with its posterior, or the median."""
    items = latest.group_by("_key").agg(
        pl.col("annotator").sort().str.join(",").alias("annotators"),
        pl.len().cast(pl.Int64).alias("annotator_count"),
        pl.col("event_time").min(),
        pl.col("known_since").max(),
    )
    return items.join(_numbers(latest) if regression else aggregate(latest), on="_key")


def _numbers(latest: pl.DataFrame) -> pl.DataFrame:
    medians = latest.group_by("_key").agg(pl.col("label").median())
    return medians.with_columns(confidence=pl.lit(1.0), posterior=pl.lit(None, pl.String), tie=pl.lit(False))
