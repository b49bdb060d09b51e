"""Sealed predictions and the outcomes so far -> the window's quality, and whether inputs and labels still go together."""

from dataclasses import dataclass
from functools import partial

import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Json, Recipe
from mlops_assets.evidence.step import Prepared
from mlops_assets.monitoring.performance import concept_verdict, performance, with_labels
from mlops_assets.monitoring.steps import Watch, verdict_built
from mlops_assets.product import Stage
from mlops_assets.training.model import decode_spec


@dataclass(frozen=True, kw_only=True)
class PerformanceStep(Watch):
    """Quality on the labels that have come in, and whether inputs and labels still go together."""

    @property
    def stage(self) -> Stage:
        """`performance`."""
        return Stage.PERFORMANCE

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the sealed rows and the outcomes so far."""
        predictions = self.input(Stage.PREDICTIONS, partition)
        rows = self.archive.table(predictions, "predictions")
        version, model = self.judged(predictions, rows)
        place = str(predictions.record.place)
        recipe = Recipe(
            place=self.place(partition),
            inputs=[
                (place, predictions.record.root),
                (f"{place} outcomes", predictions.record.output("outcomes").root),
            ],
            params={"gate": self.product.gate.model_dump(mode="json")},
            state={"model": model.id},
            code=code_id("mlops_assets.monitoring.performance"),
        )
        build = partial(self._build, predictions, rows, version, model)
        inputs = [predictions.as_input(), predictions.as_input("outcomes"), model.as_input()]
        return Prepared(recipe=recipe, inputs=inputs, build=build)

    def _build(self, predictions: Held, rows: pl.DataFrame, version: int, model: Held) -> Built:
        spec = decode_spec(self.archive.data(model, "spec"))
        mine = rows.filter(pl.col("version") == version)
        found = performance(with_labels(mine, outcomes=self.archive.table(predictions, "outcomes")), spec)
        verdict = concept_verdict(found, self.reference(model).loss)
        quality, gate = found.quality, self.product.gate
        metric = quality.metrics.get(gate.metric)
        enough = verdict.state != "cannot tell"
        reached = metric is None or (
            metric <= gate.floor if gate.metric in ("log_loss", "rmse") else metric >= gate.floor
        )
        floor = Check(
            name="reaches_floor",
            passed=reached or not enough,
            severity="warn",
            blocking=False,
            facts={gate.metric: metric, "floor": gate.floor, "matured": quality.share},
        )
        facts: dict[str, Json] = {"version": version, "matured": quality.share, **quality.metrics}
        return verdict_built(verdict, "no_concept_drift", facts, (floor,))
