"""Rows to learn from -> which of them are fitted on, which choose among models, which are held out; and their spec."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.training.machine import CPU, Machine
from mlops_assets.training.model import ColumnSpec, ModelSpec, Task, is_text, label_names
from mlops_assets.training.split import FEWEST, filled, split

Positions = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSet:
    """Rows to learn from, oldest first.

    `windows` says how many rows lie in each window, oldest first; empty means one window. With `forget`, validation
    chooses how many of the newest windows to learn from. Rows without a time (`ordered=False`) are shuffled by the seed
    before they are split. `inputs` and `transform` are handed on to the model's spec.
    """

    features: pl.DataFrame
    labels: pl.Series
    task: Task
    windows: tuple[int, ...] = ()
    forget: bool = False
    ordered: bool = True
    inputs: Mapping[str, ColumnSpec] = field(default_factory=dict[str, ColumnSpec])
    transform: str | None = None
    machine: Machine = CPU

    @property
    def filled(self) -> tuple[int, ...]:
        """The rows of each window that has some, as they are counted when rows are split."""
        return filled(self.windows or (self.features.height,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Positions of rows, oldest first: to fit on, to choose among models by, and held out, which no model may see."""

    fit: Positions
    validation: Positions
    holdout: Positions


def parts(data: TrainingSet, seed: int) -> Parts:
    """Return the parts of all rows; those to choose by and those held out are the same however many are fitted on."""
    order, cut = order_of(data, seed), split(data.filled, len(data.filled))
    return Parts(fit=order[cut.fit], validation=order[cut.validation], holdout=order[cut.holdout])


def order_of(data: TrainingSet, seed: int) -> Positions:
    """Return the positions of all rows in the order in which they are split: time's, else the seed's."""
    rows = np.arange(data.features.height)
    return rows if data.ordered else np.random.default_rng(seed).permutation(rows)


def spec_of(data: TrainingSet, seed: int, kind: str) -> ModelSpec:
    """Return the spec of a model of `data`: its classes, and the categories that rows before the held-out ones have.

    Raises:
        ValueError: If the rows are too few, or the labels are missing or not of the declared kind.
    """
    height, windows = data.features.height, data.filled
    if height < FEWEST or sum(windows) != height or len(data.labels) != height:
        found = f"{height} rows, {len(data.labels)} labels, {sum(windows)} rows in windows"
        raise ValueError(f"found {found}; right is one number, {FEWEST} or more")
    if data.labels.null_count() or (data.labels.dtype.is_float() and not data.labels.is_finite().all()):
        raise ValueError("a label is missing or not finite; leave rows without a label out of the training set")
    texts = [name for name, dtype in data.features.schema.items() if is_text(dtype)]
    seen = parts(data, seed)
    before = data.features.select(texts)[np.concatenate([seen.fit, seen.validation])] if texts else pl.DataFrame()
    return ModelSpec(
        kind=kind,
        task=data.task,
        classes=_classes(data.labels, data.task),
        inputs=dict(data.inputs),
        features=data.features.columns,
        categories={name: before[name].cast(pl.String).drop_nulls().unique().sort().to_list() for name in texts},
        transform=data.transform,
    )


def _classes(labels: pl.Series, task: Task) -> list[str]:
    if task == "regression":
        if not labels.dtype.is_numeric():
            raise ValueError(f"the label of a regression is {labels.dtype}; right is a number")
        return []
    found = label_names(labels).unique().to_list()
    found.sort(key=float if labels.dtype.is_numeric() else None)
    if len(found) < 2 or (task == "binary" and len(found) > 2):
        right = "two, or `kind: multiclass`" if task == "binary" else "two or more"
        raise ValueError(f"a {task} label has {len(found)} classes ({', '.join(found[:5])}); right is {right}")
    return found
