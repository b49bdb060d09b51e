"""Predictions that were made of tables: those not sealed yet, those that were replaced, and the records behind them."""

from collections.abc import Iterator, Mapping

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.ids import parse, time_of
from mlops_assets.serving.scoring.answering import WRITER
from mlops_assets.serving.scoring.scored import answers_in
from mlops_assets.serving.scoring.sealing import scored_files, unsealed_scores
from mlops_assets.serving.scoring.table import TABLE
from mlops_assets.settings import Settings

Row = Mapping[str, object]


def find_scored(
    settings: Settings, archive: Archive, product: ModelProduct, inference_id: str
) -> tuple[Row, Held | None] | None:
    """Return a prediction that no sealed window holds, with the record of scores that does; None if it was not scored.

    An answer that was replaced, because its row has changed, is in an earlier record. One that was scored by hand has
    no record before its window is sealed.
    """
    window = product.grid.key(time_of(parse(inference_id).request))
    mine = pl.col("inference_id") == inference_id
    for segment in product.segments:
        partition = f"{segment}|{window}"
        for path in scored_files(settings.serving(product.name), partition):
            row = pl.scan_parquet(path).filter(mine).collect()
            if row.height:
                return row.row(0, named=True), None
        for held in _records(archive, product, partition):
            row = archive.scan(held, "scores", lambda rows: rows.filter(mine))
            if row.height:
                return row.row(0, named=True), held
    return None


def behind(archive: Archive, row: Row, sealed: Held | None) -> list[str]:
    """Return the records of a scored prediction: that of the scores, and that of the table's rows."""
    if sealed is None or row.get("writer") != WRITER:
        return []
    scores = [sealed] if sealed.record.place.stage == Stage.SCORES else _read(archive, sealed, Stage.SCORES)
    return [each.id for held in scores for each in (held, *_read(archive, held, TABLE))]


def unsealed_rows(settings: Settings, archive: Archive, product: ModelProduct) -> Iterator[pl.DataFrame]:
    """Yield the scored predictions that no sealed window holds yet."""
    folder = settings.serving(product.name)
    for path in sorted((folder / "scored").glob("*/*/[!.]*.parquet")):
        yield pl.read_parquet(path, memory_map=False)
    sealed, scored = (archive.stamps(product.name, stage) for stage in (Stage.PREDICTIONS, Stage.SCORES))
    for partition, stamp in scored.items():
        if partition in sealed and sealed[partition] >= stamp:  # sealed since
            continue
        place = Place(product=product.name, stage=Stage.PREDICTIONS, partition=partition)
        before, held = archive.head(place), next(_records(archive, product, partition), None)
        if held is not None and (before is None or unsealed_scores(archive, folder, partition, before)):
            yield answers_in(archive.table(held, "scores"))


def _records(archive: Archive, product: ModelProduct, partition: str) -> Iterator[Held]:
    """Yield a partition's record of scores, and those before it."""
    held = archive.head(Place(product=product.name, stage=Stage.SCORES, partition=partition))
    while held is not None:
        yield held
        before = held.record.facts.get("predecessor")
        held = archive.held(str(before)) if before else None


def _read(archive: Archive, held: Held, stage: str) -> list[Held]:
    return [archive.held(each.record) for each in held.record.inputs if each.place.stage == stage]
