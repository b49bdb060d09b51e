"""Data -> proposed values of a declaration: windows, features, gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, log
from typing import Literal

import numpy as np
import polars as pl

from mlops_assets.intake.cells import label_text, read
from mlops_assets.parts import Column
from mlops_assets.windows import Every, Grid

FEWEST_WINDOWS, MOST_WINDOWS = 6, 60
ENOUGH_ROWS = 1_000  # to train on, by segment
MOST_CLASSES = 100
TELLS_ALL = 0.9995  # a column that alone gets this far is the label in other words

Kind = Literal["binary", "multiclass", "regression"]
Metric = Literal["auc", "accuracy", "rmse"]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How long a window is, the first start, the last end, and how many there are."""

    every: Every
    start: datetime
    end: datetime
    count: int


def propose_windows(times: pl.Series) -> Windows:
    """Return the longest windows of which there are 6 to 60 between the first and the last of `times` (UTC).

    Where no length gives that many it is the one that comes nearest.
    """
    first, last = times.min(), times.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise ValueError(f"column {times.name!r} holds no time; right is ISO 8601, as 2026-01-31T12:00:00Z")
    sizes: tuple[Every, ...] = ("month", "week", "day", "hour")
    choices = [_windows(every, first, last) for every in sizes]
    return min(
        choices, key=lambda windows: max(log(FEWEST_WINDOWS / windows.count), log(windows.count / MOST_WINDOWS), 0)
    )


def propose_trainer_windows(windows: Windows, rows: int, segments: int) -> int:
    """Return how many windows to learn from: three, or as many more as it takes to have a thousand rows."""
    rows_a_window = rows / windows.count / segments
    return min(windows.count, max(3, ceil(ENOUGH_ROWS / rows_a_window)))


def propose_kind(label: pl.Series) -> Kind:
    """Return what is predicted: two classes, up to 100 classes, or a number.

    Raises:
        ValueError: If the label is always the same, or is text with more than 100 values.
    """
    classes = label_text(label).drop_nulls().unique()
    if len(classes) < 2:
        raise ValueError(f"label {label.name!r} is always {classes.to_list()}; right is two values or more")
    if len(classes) == 2:
        return "binary"
    numbers = read(label, "float")
    numeric = numbers.count() >= 0.99 * len(classes) and numbers.count() >= 0.99 * label_text(label).count()
    whole = numeric and (numbers.drop_nulls() == numbers.drop_nulls().floor()).all()
    if numeric and (not whole or len(classes) > MOST_CLASSES // 5):
        return "regression"
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"label {label.name!r} has {len(classes)} values that are no numbers; right is at most {MOST_CLASSES}"
        )
    return "multiclass"


def propose_gate(label: pl.Series, kind: Kind) -> tuple[Metric, float, str]:
    """Return the metric, the floor that a first model has to reach, and what that floor means."""
    if kind == "binary":
        return "auc", 0.6, "0.5 is chance, 1 is perfect"
    if kind == "multiclass":
        names = label_text(label).drop_nulls()
        share = float(np.asarray(names.value_counts()["count"]).max()) / len(names)
        return (
            "accuracy",
            round(min(share + 0.05, (1 + share) / 2), 3),
            f"always saying the commonest class gets {share:.3f}",
        )
    spread = float(read(label, "float").std() or 0.0)  # pyright: ignore[reportArgumentType]
    return "rmse", float(f"{0.95 * spread:.4g}"), f"always saying the mean gets {spread:.4g}; lower is better"


def propose_features(
    frame: pl.DataFrame, columns: Mapping[str, Column], label: str, roles: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the columns to learn from, and why each of the others (but label and `roles`) is left out."""
    target = _target(frame[label])
    left_out: dict[str, str] = {}
    features: list[str] = []
    for name in (name for name in frame.columns if name not in (label, *roles)):
        why = _why_not(read(frame[name], columns[name].type), columns[name].type, target)
        if why is None:
            features.append(name)
        else:
            left_out[name] = why
    return features, left_out


def _windows(every: Every, first: datetime, last: datetime) -> Windows:
    start = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if every != "hour":
        start = start.replace(hour=0)
    if every == "week":
        start -= timedelta(days=start.weekday())
    if every == "month":
        start = start.replace(day=1)
    grid = Grid(every=every, start=start)
    end = grid.bounds(grid.key(last))[1]
    days = (end - start) / timedelta(days=1)
    months = 12 * (end.year - start.year) + end.month - start.month
    count = months if every == "month" else round(days * {"hour": 24, "day": 1, "week": 1 / 7}[every])
    return Windows(every=every, start=start, end=end, count=count)


def _target(label: pl.Series) -> pl.Series:
    """Return the label as numbers: itself if it is one, else the place of its class."""
    numbers = read(label, "float")
    names = label_text(label)
    return numbers if numbers.count() == names.count() else names.rank("dense").cast(pl.Float64)


def _why_not(cells: pl.Series, type_: str, target: pl.Series) -> str | None:
    if type_ == "datetime":
        return "a time"
    distinct = cells.drop_nulls().n_unique()
    if distinct < 2:
        return "always the same"
    if type_ == "str" and distinct > max(MOST_CLASSES, len(cells) // 10):
        return "text that hardly repeats"
    return "tells the label by itself" if _tells(cells, target) else None


def _tells(cells: pl.Series, target: pl.Series) -> bool:
    """Return whether `cells` alone give the target away: by rank, or by being the same in each group."""
    both = pl.DataFrame({"cell": cells, "target": target}).drop_nulls()
    if both.height < 2 or both["target"].n_unique() < 2:
        return False
    if not cells.dtype.is_numeric() or both["cell"].n_unique() < both.height / 20:
        counts = both.group_by("cell", "target").len().group_by("cell").agg(pl.col("len").max())
        return counts["len"].sum() / both.height >= TELLS_ALL
    if both["target"].n_unique() > 2:
        return abs(both.select(pl.corr("cell", "target", method="spearman")).item()) >= TELLS_ALL
    positive = both["target"] == both["target"].max()
    ones, ranks = int(positive.sum()), both["cell"].rank("average")
    area = (float(ranks.filter(positive).sum()) - ones * (ones + 1) / 2) / (ones * (both.height - ones))
    return max(area, 1 - area) >= TELLS_ALL
