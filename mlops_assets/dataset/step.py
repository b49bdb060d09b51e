"""Rows of a window and their labels -> the dataset; what fails the schema is quarantined with its reason."""

from dataclasses import dataclass
from functools import partial

import polars as pl

from mlops_assets.dataset.join import join_labels, source_rows, with_served
from mlops_assets.dataset.quarantine import checks, quarantine_table
from mlops_assets.dataset.schemas import dataset_schema, validate
from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.ledger import stamp
from mlops_assets.evidence.records import Json, Recipe
from mlops_assets.evidence.step import Prepared, Step
from mlops_assets.intake.cells import DTYPES
from mlops_assets.intake.ingest import columns_of, part
from mlops_assets.intake.served import sealed_within
from mlops_assets.parts import Column
from mlops_assets.product import Stage


@dataclass(frozen=True, kw_only=True)
class DatasetStep(Step):
    """The labelled rows of a segment and window."""

    @property
    def stage(self) -> Stage:
        """`dataset`."""
        return Stage.DATASET

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: labels, the source's rows, and the rows that were served in the window."""
        labels = self.input(Stage.ANNOTATIONS, partition)
        source = part(self.archive, self.product, partition)
        sealed = sealed_within(self, partition)
        frozen, columns = columns_of(self.archive, self.product)
        inputs = [labels.as_input()]
        inputs += [source.as_input("rows"), source.as_input("rejected")] if source else []
        inputs += [held.as_input("predictions") for held in sealed]
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(each.place), each.root) for each in inputs],
            params={"quarantine": self.product.quarantine},
            state={"columns": frozen.record.root},
            code=code_id("mlops_assets.dataset.step"),
        )
        build = partial(self._build, labels, source, sealed, columns)
        return Prepared(recipe=recipe, inputs=inputs, build=build)

    def _build(self, annotations: Held, source: Held | None, sealed: list[Held], columns: dict[str, Column]) -> Built:
        labels = self.archive.table(annotations, "labels")
        rows, misfits = self._source(source, columns)
        for held in sealed:
            rows = with_served(rows, self.archive.table(held, "predictions"))
        known = rows.join(
            labels.select("_key", _known_since="known_since"), on="_key", how="left", maintain_order="left"
        )
        held_to = {name: column for name, column in columns.items() if name in rows.columns}
        validated = validate(known, dataset_schema(held_to))
        joined = join_labels(validated.good.drop("_known_since"), labels)
        quarantined = quarantine_table(misfits, validated.quarantined)
        judged = self.product.label.annotator is not None  # then an item that is lost has a row for each judgement
        lost = misfits.unique("_key", keep="first", maintain_order=True) if judged and misfits.height else misfits
        facts: dict[str, Json] = {
            "labelled": joined.labelled,
            "unlabelled": joined.unlabelled,
            "tied": joined.tied,
            "quarantined": quarantined.height,
            "as_of": stamp(joined.as_of) if joined.as_of else None,
            "newest": _newest(joined.rows),
        }
        return Built(
            outputs={"dataset": joined.rows, "quarantine": quarantined},
            checks=checks(rows.height + lost.height, lost, validated, self.product.quarantine),
            facts=facts,
        )

    def _source(self, source: Held | None, columns: dict[str, Column]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the source's typed rows of the window, and the rows whose cells are not of their column's type."""
        if source is not None:
            rows = source_rows(self.archive.table(source, "rows"), self.product)
            return rows, self.archive.table(source, "rejected")
        return empty_rows(self, columns), pl.DataFrame(schema={"_reason": pl.String})


def empty_rows(step: Step, columns: dict[str, Column]) -> pl.DataFrame:
    """Return no rows, typed as the source's rows are."""
    own = {"_key": pl.String, "_time": DTYPES["datetime"], "_segment": pl.String}
    return source_rows(
        pl.DataFrame(schema={**{name: DTYPES[c.type] for name, c in columns.items()}, **own}), step.product
    )


def _newest(rows: pl.DataFrame) -> str | None:
    newest = rows.select(pl.col("_time").max()).item()
    return stamp(newest) if newest else None
