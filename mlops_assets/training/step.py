"""Features of the last windows -> a model, its reference and its held-out rows, and why it is as good as it says."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Json, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.product import Stage
from mlops_assets.training.built import built
from mlops_assets.training.deadline import Overdue, ended_after
from mlops_assets.training.machine import Machine
from mlops_assets.training.plan import Plan, plan_of


@dataclass(frozen=True, kw_only=True)
class ModelStep(Step):
    """One model per segment and window, on the last `windows` windows."""

    @property
    def stage(self) -> Stage:
        """`model`."""
        return Stage.MODEL

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the features of every window that has labelled rows, the plan and the seed."""
        inputs = self._inputs(partition)
        plan = plan_of(self.product, parse(partition)[0])
        try:
            code = recipe_code(plan)
        except ModuleNotFoundError as problem:
            raise NotReady(f"{self.place(partition)}: {problem}") from problem
        asked: dict[str, Json] = plan.model_dump(mode="json")
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(held.record.place), held.record.root) for held in inputs],
            params={**asked, "inputs": inputs[-1].record.facts["inputs"]},
            seed=self.product.seed,
            code=code,
        )
        build = partial(self._build, recipe, plan, inputs)
        return Prepared(recipe=recipe, inputs=[held.as_input() for held in inputs], build=build)

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the record of `partition`; what the training left to be resumed from is then deleted."""
        prepared = self.prepare(partition)
        held = self.archive.make(prepared.recipe, prepared.inputs, prepared.build, run_id=run_id)
        shutil.rmtree(self._checkpoints(prepared.recipe), ignore_errors=True)
        return held

    def _inputs(self, partition: str) -> list[Held]:
        segment, window = parse(partition)
        windows = (
            self.product.windows.before(window, self.product.trainer.windows) if self.product.windows else [window]
        )
        if self.optional(Stage.FEATURES, partition) is None:
            raise NotReady(f"{self.place(partition, Stage.FEATURES)} is missing; make it first")
        found = [self.optional(Stage.FEATURES, f"{segment}|{each}") for each in windows]
        inputs = [held for held in found if held is not None and held.record.outputs[0].rows]
        if not inputs:
            raise NotReady(f"{self.place(partition)}: no labelled row in {windows[0]} to {windows[-1]}")
        return inputs

    def _build(self, recipe: Recipe, plan: Plan, inputs: list[Held]) -> Built:
        frames = [self.archive.table(held, "features") for held in inputs]
        compute = self.product.compute.of(parse(recipe.place.partition)[0])
        machine = Machine(gpus=compute.gpu, cpu_if_no_gpu=compute.cpu_if_no_gpu, checkpoints=self._checkpoints(recipe))
        try:
            with ended_after(compute.minutes):
                return built(plan, inputs, frames, machine, self.product.seed)
        except (ValueError, ModuleNotFoundError, Overdue) as problem:
            raise NotReady(f"{recipe.place}: {problem}") from problem

    def _checkpoints(self, recipe: Recipe) -> Path:
        return self.archive.home / "checkpoints" / recipe.id


def recipe_code(plan: Plan) -> str:
    """Return which code a training runs, trainers of the user's own included."""
    return code_id("mlops_assets.training.built", *plan.own_modules)
