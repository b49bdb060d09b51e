"""The source's labels and reported outcomes of a window -> one label per item."""

from dataclasses import dataclass
from functools import partial

import polars as pl

from mlops_assets.annotations.labels import (
    label_table,
    labels_are_confident,
    labels_are_known,
    outcome_judgements,
    source_judgements,
)
from mlops_assets.annotations.shares import label_shares_are_steady
from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Recipe
from mlops_assets.evidence.step import Prepared, Step, parse
from mlops_assets.intake.ingest import CHECK, columns_of, ingest, part
from mlops_assets.intake.served import sealed_within
from mlops_assets.product import Stage


@dataclass(frozen=True, kw_only=True)
class AnnotationsStep(Step):
    """One label per item of a segment and window. A window without any is made too: it has no rows."""

    @property
    def stage(self) -> Stage:
        """`annotations`."""
        return Stage.ANNOTATIONS

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the source's labels, the outcomes of the window's predictions, and the window before.

        The source is as it was last read, so that a thousand partitions do not look at it a thousand times.
        """
        source = part(self.archive, self.product, partition)
        sealed = [held for held in sealed_within(self, partition) if held.record.output("outcomes").rows]
        before = self._before(partition)
        inputs = ([source.as_input("labels")] if source else []) + [held.as_input("outcomes") for held in sealed]
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(each.place), each.root) for each in inputs],
            params={"label": self.product.label.model_dump(mode="json")},
            state={
                "before": before.record.root if before else "",
                "columns": columns_of(self.archive, self.product)[0].record.root,
            },
            code=code_id("mlops_assets.annotations.step"),
        )
        return Prepared(recipe=recipe, inputs=inputs, build=partial(self._build, source, sealed, before))

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the labels' record, made of the source as it is now."""
        ingest(self.archive, self.product, self.settings)
        return Step.make(self, partition, run_id=run_id)

    def _before(self, partition: str) -> Held | None:
        if self.product.windows is None:
            return None
        segment, window = parse(partition)
        [*earlier, _] = self.product.windows.before(window, 2)
        return self.archive.head(self.place(f"{segment}|{earlier[0]}")) if earlier else None

    def _build(self, source: Held | None, sealed: list[Held], before: Held | None) -> Built:
        judged = [source_judgements(self.archive.table(source, "labels"), self.product)] if source else []
        judged += [
            outcome_judgements(
                self.archive.table(held, "outcomes"), self.archive.table(held, "predictions"), self.product
            )
            for held in sealed
        ]
        labels = label_table(judged, self.product)
        _, columns = columns_of(self.archive, self.product)
        checks = (
            Check(name=CHECK, passed=True),
            labels_are_known(labels, columns[self.product.label.column].isin),
            labels_are_confident(labels),
            label_shares_are_steady(labels, self.archive.table(before, "labels") if before else None),
        )
        facts = {"labels": labels.height, "ties": int(labels["tie"].sum()), "empty": not labels.height}
        return Built(outputs={"labels": labels.cast({pl.UInt32: pl.Int64})}, checks=checks, facts=facts)
