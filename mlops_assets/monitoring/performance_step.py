"""Sealed predictions and the labels so far -> the window's quality, and whether inputs and labels still go together."""

from dataclasses import dataclass, replace
from functools import partial

import msgspec
import polars as pl

from mlops_assets.detection.loss import LossEvidence, judge_loss
from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Input, Json, Recipe
from mlops_assets.evidence.step import Prepared
from mlops_assets.monitoring.beside import predictions_of
from mlops_assets.monitoring.estimates import Estimates, estimates
from mlops_assets.monitoring.groups import Compared, compared
from mlops_assets.monitoring.late_labels import LateLabels, late_labels, with_labels
from mlops_assets.monitoring.performance import MATURE_FROM, Quality, performance
from mlops_assets.monitoring.steps import EVIDENCE, Watch, verdict_built
from mlops_assets.product import Stage
from mlops_assets.registry.criteria.worth import acts_from
from mlops_assets.training.metrics import HIGHER_IS_BETTER
from mlops_assets.training.model import ModelSpec, decode_spec, label_codes

CODE = ("performance", "late_labels", "estimates", "groups")


@dataclass(frozen=True, kw_only=True)
class PerformanceStep(Watch):
    """Quality on the labels that have come in, and whether inputs and labels still go together."""

    @property
    def stage(self) -> Stage:
        """`performance`."""
        return Stage.PERFORMANCE

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the sealed rows, the outcomes so far, and the labels that have come by key."""
        predictions = self.input(Stage.PREDICTIONS, partition)
        rows = predictions_of(self.archive, predictions)
        version, model = self.judged(predictions, rows)
        late = late_labels(self.archive, self.product, predictions, rows)
        inputs = [predictions.as_input(), predictions.as_input("outcomes"), *late.inputs, model.as_input()]
        before = self._gathered_before(partition, inputs, model)
        place = str(predictions.record.place)
        recipe = Recipe(
            place=self.place(partition),
            inputs=[
                (place, predictions.record.root),
                (f"{place} outcomes", predictions.record.output("outcomes").root),
                *([(f"{place} labels by key", late.root)] if late.by_key.height else []),
            ],
            params={
                **self.product.model_dump(mode="json", include={"gate", "value", "groups"}),
                "mature_from": MATURE_FROM,
            },
            seed=self.product.seed,
            state={"model": model.id, "before": before.id if before else ""},
            code=code_id(*(f"mlops_assets.monitoring.{name}" for name in CODE)),
        )
        build = partial(self._build, rows, late, version, model, before)
        return Prepared(recipe=recipe, inputs=inputs, build=build)

    def _gathered_before(self, partition: str, inputs: list[Input], model: Held) -> Held | None:
        """Return the record whose evidence goes on; new labels are judged after those that earlier windows have now."""
        head = self.archive.head(self.place(partition))
        same = head is not None and [each.root for each in head.record.inputs] == [each.root for each in inputs]
        return self.before(partition, inputs[0].root if same else "", model)

    def _build(self, rows: pl.DataFrame, late: LateLabels, version: int, model: Held, before: Held | None) -> Built:
        product, spec = self.product, decode_spec(self.archive.data(model, "spec"))
        mine = rows.filter(pl.col("version") == version)
        labelled = with_labels(mine, outcomes=late.outcomes, labels=late.by_key)
        found = performance(labelled, spec, value=product.value, seed=product.seed)
        carried = msgspec.json.decode(self.archive.data(before, EVIDENCE), type=LossEvidence) if before else None
        loss = judge_loss(found.losses, mine.height, self.reference(model).loss, carried=carried)
        threshold = acts_from(spec.threshold, product.value)
        groups = [compared(mine, name, found.codes, spec.task, threshold) for name in product.groups]
        expected = self._estimates(mine, spec, model)
        facts: dict[str, Json] = {"version": version, **_told(found.quality, expected, groups)}
        floor = self._floor(found.quality)
        built = verdict_built(loss.verdict, "no_concept_drift", facts, (floor,), evidence=loss.evidence)
        more = {"quality": found.quality, "estimates": expected, **({"groups": groups} if groups else {})}
        return replace(
            built,
            outputs={**built.outputs, **{name: (msgspec.json.encode(each), "json") for name, each in more.items()}},
        )

    def _estimates(self, mine: pl.DataFrame, spec: ModelSpec, model: Held) -> Estimates:
        held_out = self.archive.table(model, "holdout")
        codes, scores = label_codes(held_out["_label"], spec), held_out["_score"].to_numpy()
        return estimates(spec.task, codes, scores, mine["output"].to_numpy(), seed=self.product.seed)

    def _floor(self, quality: Quality) -> Check:
        """Return whether the gate's metric reaches its floor; it does as long as too few labels are in to say."""
        gate = self.product.gate
        known = quality.metrics.get(gate.metric)
        short = known is not None and (
            known.value < gate.floor if gate.metric in HIGHER_IS_BETTER else known.value > gate.floor
        )
        unknown = None if known else f"{gate.metric} cannot be told from the labels and outputs of this window"
        facts: dict[str, Json] = {
            gate.metric: known.value if known else None,
            "interval": [known.low, known.high] if known else None,
            "floor": gate.floor,
            "matured": quality.share,
            "not_judged": quality.immature or unknown,
        }
        passed = not short or quality.immature is not None
        return Check(name="reaches_floor", passed=passed, severity="warn", blocking=False, facts=facts)


def _told(quality: Quality, expected: Estimates, groups: list[Compared]) -> dict[str, Json]:
    """Return what an operator reads beside the verdict; estimates have names of their own, and no check reads them."""
    return {
        "matured": quality.share,
        "labels": quality.matured,
        "foreign_labels": quality.foreign,
        "mature": quality.immature is None,
        "mature_from": MATURE_FROM,
        **{name: each.value for name, each in quality.metrics.items()},
        **{f"estimated_{name}": each.value for name, each in expected.metrics.items()},
        "estimates": expected.words,
        **{f"selection_ratio_{each.column}": each.ratio for each in groups},
    }
