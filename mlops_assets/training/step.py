"""Features of the last windows -> a model, its reference and its held-out rows, and why it is as good as it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec
import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Json, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.product import Stage
from mlops_assets.rules import Gate
from mlops_assets.training.fitting import Trained, TrainingSet
from mlops_assets.training.metrics import HIGHER_IS_BETTER
from mlops_assets.training.model import ColumnSpec, encode_spec, label_codes
from mlops_assets.training.reference import logged_losses, logged_scores, reference
from mlops_assets.training.tracking import Report
from mlops_assets.training.trainers import trainer_named

KEYS = ("_key", "_time", "_label")


@dataclass(frozen=True, kw_only=True)
class ModelStep(Step):
    """One model per segment and window, on the last `windows` windows."""

    @property
    def stage(self) -> Stage:
        """`model`."""
        return Stage.MODEL

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the features of every window that has labelled rows, the trainer and the seed."""
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
        trainer = self.product.trainer
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(held.record.place), held.record.root) for held in inputs],
            params={
                "trainer": trainer.model_dump(mode="json"),
                "label": self.product.label.kind,
                "gate": self.product.gate.model_dump(mode="json"),
                "monitor": self.product.monitor.every,
                "transform": _transform(self),
                "inputs": inputs[-1].record.facts["inputs"],
            },
            seed=self.product.seed,
            code=code_id("mlops_assets.training.step"),
        )
        build = partial(self._build, partition, inputs)
        return Prepared(recipe=recipe, inputs=[held.as_input() for held in inputs], build=build)

    def _build(self, partition: str, inputs: list[Held]) -> Built:
        frames = [self.archive.table(held, "features") for held in inputs]
        data = _training_set(self, inputs, frames)
        fit = trainer_named(self.product.trainer.kind, self.product.trainer.params)
        try:
            trained = fit(data, self.product.trainer.params, self.product.seed)
        except ValueError as problem:
            raise NotReady(f"{self.place(partition)}: {problem}") from problem
        rows = pl.concat(frames)
        holdout = rows[trained.holdout.tolist()].with_columns(
            _score=pl.Series(logged_scores(trained.scores), dtype=pl.Float64)
        )
        per_window = rows_per_window(self, rows)
        stored = reference(
            _seen(rows, data, trained),
            at="_time" if self.product.windows else None,
            rows_per_window=per_window,
            seed=self.product.seed,
            held_out=holdout["_score"],
            grid=self.product.grid if self.product.windows else None,
        )
        facts: dict[str, Json] = {
            **{name: round(value, 6) for name, value in trained.metrics.items()},
            "rows": rows.height,
            "rows_used": trained.rows_used,
            "windows_used": trained.windows_used,
            "held_out_rows": holdout.height,
            "reference_rows_per_window": per_window,
            "importance": {name: round(share, 4) for name, share in trained.spec.importance.items()},
            "trainer_params": dict(trained.params),
        }
        return Built(
            outputs={
                "model": (trained.model_bytes, "txt" if trained.spec.kind == "lightgbm" else "safetensors"),
                "spec": (encode_spec(trained.spec), "json"),
                "reference": (msgspec.json.encode(stored), "json"),
                "history": (
                    msgspec.json.encode({name: list(map(float, each)) for name, each in trained.history.items()}),
                    "json",
                ),
                "holdout": holdout,
            },
            checks=(_reaches_floor(self.product.gate, trained), _trained_on_named_rows(inputs, rows)),
            facts=facts,
        )


def rows_per_window(step: Step, rows: pl.DataFrame) -> int:
    """Return how many rows a monitoring window has, as the median over the training rows' days; at least 50."""
    if not step.product.windows:
        return min(200, max(50, rows.height // 28))
    keys = step.product.grid.keys_of(rows["_time"]).to_frame("window").group_by("window").len()
    return max(50, int(keys["len"].median() or 0))  # type: ignore[arg-type]


def report(archive: Archive, held: Held, tags: Mapping[str, str]) -> Report:
    """Return what a tracker shows of a model: parameters, metrics, their history, and the model's files."""
    facts = held.record.facts
    suffix = held.file("model").address.rpartition(".")[2]
    return Report(
        name=str(held.record.place),
        at=datetime.fromisoformat(held.envelope.at),
        params=msgspec.convert(facts["trainer_params"], dict[str, int | float | str | bool]),
        metrics={name: value for name, value in facts.items() if isinstance(value, float)},
        history=msgspec.json.decode(archive.data(held, "history"), type=dict[str, list[float]]),
        tags=tags,
        artifacts={
            f"model/model.{suffix}": archive.data(held, "model"),
            "model/spec.json": archive.data(held, "spec"),
        },
    )


def _training_set(step: ModelStep, inputs: list[Held], frames: list[pl.DataFrame]) -> TrainingSet:
    facts = inputs[-1].record.facts
    rows = pl.concat(frames)
    return TrainingSet(
        features=rows.drop(KEYS),
        labels=rows["_label"],
        task=step.product.label.kind,
        windows=tuple(frame.height for frame in frames),
        forget=step.product.trainer.forget,
        ordered=step.product.windows is not None,
        inputs=msgspec.convert(facts["inputs"], dict[str, ColumnSpec]),
        transform=_transform(step),
    )


def _transform(step: Step) -> str | None:
    return step.product.features if isinstance(step.product.features, str) else None


def _seen(rows: pl.DataFrame, data: TrainingSet, trained: Trained) -> pl.DataFrame:
    """Return the rows that the model learned from, with `loss` where it never saw the row."""
    labels = label_codes(rows["_label"][trained.holdout.tolist()], trained.spec)
    loss = np.full(rows.height, np.nan)
    loss[trained.holdout] = logged_losses(data.task, labels, logged_scores(trained.scores))
    used = sum([count for count in data.windows if count][-trained.windows_used :])
    return rows.with_columns(loss=pl.Series(loss)).tail(used)


def _reaches_floor(gate: Gate, trained: Trained) -> Check:
    value = trained.metrics[gate.metric]
    passed = value >= gate.floor if gate.metric in HIGHER_IS_BETTER else value <= gate.floor
    facts: dict[str, Json] = {gate.metric: round(value, 6), "floor": gate.floor}
    return Check(name="reaches_floor", passed=bool(passed), severity="warn", blocking=False, facts=facts)


def _trained_on_named_rows(inputs: list[Held], rows: pl.DataFrame) -> Check:
    named = sum(held.record.outputs[0].rows or 0 for held in inputs)
    return Check(name="trained_on_named_rows", passed=named == rows.height, facts={"named": named, "read": rows.height})
