"""Features of the last windows and a plan -> a model, its reference and its held-out rows, and how good it is."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.code import libraries
from mlops_assets.evidence.records import Check, Json
from mlops_assets.training.columns import column_statistics
from mlops_assets.training.fitting import Trained, Trial, as_recorded
from mlops_assets.training.machine import Machine
from mlops_assets.training.metrics import HIGHER_IS_BETTER
from mlops_assets.training.model import ColumnSpec, encode_spec, label_codes, label_names
from mlops_assets.training.plan import Plan
from mlops_assets.training.reference import Reference, logged_losses, logged_scores, reference
from mlops_assets.training.search import searched
from mlops_assets.training.trainers import trainer_named
from mlops_assets.training.training_set import TrainingSet
from mlops_assets.windows import Grid

KEYS = ("_key", "_time", "_label")
SUFFIXES = {"lightgbm": "txt", "torch": "safetensors"}


def built(plan: Plan, inputs: Sequence[Held], frames: Sequence[pl.DataFrame], machine: Machine, seed: int) -> Built:
    """Return what comes of training on `frames`, the tables of `inputs`; the same in gives the same bytes on CPU.

    Raises:
        ValueError: If nothing can be learnt of these rows, or the metric is not defined on those held out.
    """
    rows = pl.concat(frames)
    data = _training_set(plan, inputs, frames, rows, machine)
    trained = _threshold(plan, _fitted(plan, data, seed))
    _check_metric(plan, trained, rows)
    holdout = rows[trained.holdout.tolist()].with_columns(
        _score=pl.Series(logged_scores(trained.scores), dtype=pl.Float64)
    )
    stored = _reference(plan, rows, data, trained, seed)
    history = {name: list(map(float, each)) for name, each in trained.history.items()}
    return Built(
        outputs={
            "model": (trained.model_bytes, SUFFIXES.get(trained.spec.kind, "bin")),
            "spec": (encode_spec(trained.spec), "json"),
            "reference": (msgspec.json.encode(stored), "json"),
            "history": (msgspec.json.encode(history), "json"),
            "holdout": holdout,
            "columns": (msgspec.json.encode(column_statistics(_learned_from(rows, trained))), "json"),
            **({"trials": (msgspec.json.encode(trained.trials), "json")} if trained.trials else {}),
        },
        checks=(_reaches_floor(plan, trained), _trained_on_named_rows(inputs, rows)),
        facts=_facts(plan, rows, trained, stored),
        gpu_s=trained.gpu_s,
    )


def trials_of(archive: Archive, held: Held) -> tuple[Trial, ...]:
    """Return all that the search behind a model has tried; nothing if there was none."""
    if not any(output.name == "trials" for output in held.record.outputs):
        return ()
    return msgspec.json.decode(archive.data(held, "trials"), type=tuple[Trial, ...])


def _fitted(plan: Plan, data: TrainingSet, seed: int) -> Trained:
    if plan.search is not None:
        return searched(plan.search, data, seed)
    params = as_recorded(plan.trainer.params)
    return trainer_named(plan.trainer.kind, params)(data, params, seed)


def _training_set(
    plan: Plan, inputs: Sequence[Held], frames: Sequence[pl.DataFrame], rows: pl.DataFrame, machine: Machine
) -> TrainingSet:
    return TrainingSet(
        features=rows.drop(KEYS),
        labels=rows["_label"],
        task=plan.label,
        windows=tuple(frame.height for frame in frames),
        forget=plan.trainer.forget,
        ordered=plan.monitor is not None,
        inputs=msgspec.convert(inputs[-1].record.facts["inputs"], dict[str, ColumnSpec]),
        transform=plan.transform,
        machine=machine,
    )


def _threshold(plan: Plan, trained: Trained) -> Trained:
    spec = msgspec.structs.replace(trained.spec, threshold=plan.threshold)
    return replace(trained, spec=spec)


def _check_metric(plan: Plan, trained: Trained, rows: pl.DataFrame) -> None:
    if np.isfinite(trained.metrics[plan.metric]):
        return
    labels = label_names(rows["_label"][trained.holdout.tolist()]).unique().sort().to_list()
    found = f"all are labelled {labels[0]!r}" if len(labels) == 1 else f"it is {trained.metrics[plan.metric]}"
    raise ValueError(
        f"{plan.metric} is not defined on the {len(trained.holdout)} held-out rows, the newest: {found}; "
        "right are rows of both classes, as longer windows have, or another metric"
    )


def _reference(plan: Plan, rows: pl.DataFrame, data: TrainingSet, trained: Trained, seed: int) -> Reference:
    return reference(
        _seen(rows, data, trained),
        at="_time" if plan.monitor else None,
        rows_per_window=rows_per_window(plan.monitor, rows),
        seed=seed,
        held_out=pl.Series(logged_scores(trained.scores), dtype=pl.Float64),
        grid=plan.monitor,
    )


def rows_per_window(monitor: Grid | None, rows: pl.DataFrame) -> int:
    """Return how many rows a monitoring window has, as the median over those of the training rows; at least 50."""
    if monitor is None:
        return min(200, max(50, rows.height // 28))
    keys = monitor.keys_of(rows["_time"]).to_frame("window").group_by("window").len()
    return max(50, int(keys["len"].median() or 0))  # type: ignore[arg-type]


def _seen(rows: pl.DataFrame, data: TrainingSet, trained: Trained) -> pl.DataFrame:
    """Return the rows that the model learned from, with `loss` where it never saw the row."""
    labels = label_codes(rows["_label"][trained.holdout.tolist()], trained.spec)
    loss = np.full(rows.height, np.nan)
    loss[trained.holdout] = logged_losses(data.task, labels, logged_scores(trained.scores))
    used = sum(data.filled[-trained.windows_used :])
    return rows.with_columns(loss=pl.Series(loss)).tail(used)


def _learned_from(rows: pl.DataFrame, trained: Trained) -> pl.DataFrame:
    """Return the features of the rows that the model was fitted and validated on."""
    known = np.ones(rows.height, dtype=np.bool_)
    known[trained.holdout] = False
    return rows.filter(pl.Series(known)).tail(trained.rows_used).drop(KEYS)


def _facts(plan: Plan, rows: pl.DataFrame, trained: Trained, stored: Reference) -> dict[str, Json]:
    return {
        **{name: round(value, 6) for name, value in trained.metrics.items() if np.isfinite(value)},
        "rows": rows.height,
        "rows_used": trained.rows_used,
        "windows_used": trained.windows_used,
        "held_out_rows": len(trained.holdout),
        "reference_rows_per_window": stored.rows_per_window,
        "importance": {name: round(share, 4) for name, share in trained.spec.importance.items()},
        "trainer": trained.spec.kind,
        "trainer_params": dict(trained.params),
        "libraries": libraries(*plan.own_modules),
        **_search_facts(trained),
    }


def _search_facts(trained: Trained) -> dict[str, Json]:
    """Return what was tried; `won` stands at the winner, `problem` at what failed."""
    if not trained.trials:
        return {}
    return {"search": [_trial_fact(trial) for trial in trained.trials], "search_cut_short": trained.cut_short}


def _trial_fact(trial: Trial) -> dict[str, Json]:
    said: dict[str, Json] = {"won": True} if trial.won else {"problem": trial.problem} if trial.problem else {}
    return {"trainer": trial.kind, "params": dict(trial.params), "loss": trial.loss, **said}


def _reaches_floor(plan: Plan, trained: Trained) -> Check:
    value = trained.metrics[plan.metric]
    passed = value >= plan.floor if plan.metric in HIGHER_IS_BETTER else value <= plan.floor
    facts: dict[str, Json] = {plan.metric: round(value, 6), "floor": plan.floor}
    return Check(name="reaches_floor", passed=bool(passed), severity="warn", blocking=False, facts=facts)


def _trained_on_named_rows(inputs: Sequence[Held], rows: pl.DataFrame) -> Check:
    named = sum(held.record.outputs[0].rows or 0 for held in inputs)
    return Check(name="trained_on_named_rows", passed=named == rows.height, facts={"named": named, "read": rows.height})
