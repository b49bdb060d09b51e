"""Outcomes by inference id, and labels by key -> the labels of a window's predictions, whenever they come.

An outcome is reported to the endpoint and names the very prediction. A label by key comes through the source: a row
with the key that the request gave, in the same segment, and in the window of data that the prediction lies in. A key
may come again in another window (a customer, each month), so labels of other windows do not count.
"""

from dataclasses import dataclass

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import Input, Place
from mlops_assets.evidence.step import parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.training.model import label_names
from mlops_assets.windows import ALL

_NONE = pl.DataFrame(schema={"key": pl.String, "label": pl.String})


@dataclass(frozen=True, kw_only=True, eq=False)
class LateLabels:
    """What has come in for a window's predictions: outcomes by id, and labels of the keys that have no outcome.

    `held` is the record that the labels by key are of, None where none is needed or there is none.
    """

    outcomes: pl.DataFrame
    by_key: pl.DataFrame
    held: Held | None = None

    @property
    def inputs(self) -> list[Input]:
        """What was read of labels by key, as the record of the step names it."""
        return [self.held.as_input("labels")] if self.held else []

    @property
    def root(self) -> str:
        """The content root of the labels by key: labels of other windows' keys may change without changing it."""
        return content_root(self.by_key)


def label_place(product: ModelProduct, partition: str) -> Place | None:
    """Return where labels by key of a monitoring window are; None if no window of data holds it."""
    segment, window = parse(partition)
    if product.windows is None:
        return Place(product=product.name, stage=Stage.ANNOTATIONS, partition=f"{segment}|{ALL}")
    start, _ = product.grid.bounds(window)
    if not product.windows.holds(start):
        return None
    return Place(product=product.name, stage=Stage.ANNOTATIONS, partition=f"{segment}|{product.windows.key(start)}")


def late_labels(archive: Archive, product: ModelProduct, predictions: Held, rows: pl.DataFrame) -> LateLabels:
    """Return what has come in for sealed `rows`; labels that failed a check of theirs do not count."""
    outcomes = archive.table(predictions, "outcomes")
    place = label_place(product, predictions.record.place.partition)
    keys = _without_outcome(rows, outcomes)
    held = archive.head(place) if place and len(keys) else None
    if held is None or held.record.failed:
        return LateLabels(outcomes=outcomes, by_key=_NONE)
    return LateLabels(outcomes=outcomes, by_key=_labels_of(archive, held, keys), held=held)


def labelled(
    archive: Archive, product: ModelProduct, partition: str, rows: pl.DataFrame, outcomes: pl.DataFrame
) -> pl.DataFrame:
    """Return `rows` of a window, sealed or not, with what has come in for them by now, as `with_labels` does."""
    place = label_place(product, partition)
    keys = _without_outcome(rows, outcomes)
    held = archive.head(place) if place and len(keys) else None
    by_key = _NONE if held is None or held.record.failed else _labels_of(archive, held, keys)
    return with_labels(rows, outcomes=outcomes, labels=by_key).with_columns(pl.col("label").cast(pl.String))


def relabelled(archive: Archive, product: ModelProduct, predictions: Held, performance: Held) -> str | None:
    """Return what names the labels by key of a window, if they are no longer those that its quality was made of."""
    place = label_place(product, predictions.record.place.partition)
    read = next((each.record for each in performance.record.inputs if each.place == place), None)
    now = archive.head(place) if place else None
    if now is None or now.id == read:
        return None
    rows = archive.table(predictions, "predictions")
    late = late_labels(archive, product, predictions, rows)
    keys = _without_outcome(rows, late.outcomes)
    before = _labels_of(archive, archive.held(read), keys) if read else _NONE
    return None if late.root == content_root(before) else late.root


def _without_outcome(rows: pl.DataFrame, outcomes: pl.DataFrame) -> pl.Series:
    return rows.join(outcomes, on="inference_id", how="anti")["key"].drop_nulls().unique()


def _labels_of(archive: Archive, annotations: Held, keys: pl.Series) -> pl.DataFrame:
    known = archive.table(annotations, "labels").select("label", key="_key").drop_nulls()
    named = known.select("key", label_names(known["label"]).alias("label"))
    return named.filter(pl.col("key").is_in(keys.implode())).sort("key")


def with_labels(
    predictions: pl.DataFrame, *, outcomes: pl.DataFrame | None = None, labels: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return `predictions` with a text column `label`, null where none is known yet.

    `outcomes` (inference_id, label, received_at) count before `labels` (key, label), since they name the very
    prediction; of several outcomes the last received counts, of several labels of one key the last row.
    """
    joined = predictions
    if outcomes is not None and outcomes.height:
        last = outcomes.sort("received_at", maintain_order=True).unique("inference_id", keep="last")
        by_id = last.select("inference_id", label_names(last["label"]).alias("_by_id"))
        joined = joined.join(by_id, on="inference_id", how="left", maintain_order="left")
    if labels is not None and labels.height:
        known = labels.drop_nulls(["key", "label"]).unique("key", keep="last", maintain_order=True)
        by_key = known.select(pl.col("key").cast(pl.String), label_names(known["label"]).alias("_by_key"))
        joined = joined.join(by_key, on="key", how="left", maintain_order="left")
    found = [name for name in ("_by_id", "_by_key") if name in joined.columns]
    label = pl.coalesce(found) if found else pl.lit(None, dtype=pl.String)
    return joined.with_columns(label=label).drop(found)
