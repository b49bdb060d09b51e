"""Scored training rows -> what live windows are judged against: frozen bins, counts of 28 windows or more, loss."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.training.bins import TEXT, Bins, Counts, count
from mlops_assets.training.frozen import freeze_bins
from mlops_assets.training.metrics import losses
from mlops_assets.training.model import Task
from mlops_assets.windows import Grid

PREDICTION = "prediction"
LOSS = "loss"
FEWEST = 40  # rows of a window that is judged, or judged by
MOST = 100  # windows: 1 in 101 can then be promised whatever the noise; more windows cost bytes and buy little
SPAN = 2  # windows' worth of neighbouring rows that one resampled window draws from
UNSEEN = "\x00unseen"

Floats = NDArray[np.float64]
Places = list[NDArray[np.int64]]
Kind = Literal["windows", "partly resampled", "resampled"]


class LossReference(Struct, frozen=True, kw_only=True):
    """Loss on rows that the model was not fitted on. `between` is the sd of windows' means beyond chance."""

    mean: float
    sd: float
    rows: int
    between: float = 0.0


class Reference(Struct, frozen=True, kw_only=True):
    """What training saw, cut into windows. `kind` says whether rows sufficed.

    `rows` counts the distinct rows behind the inputs, `scored` those behind `prediction`. Where the windows are those
    of the product's grid, `phases` has each one's place in a season of `cycle` windows; else it is empty.
    """

    bins: Bins
    windows: list[Counts]
    kind: Kind
    rows: int
    scored: int
    rows_per_window: int
    loss: LossReference | None = None
    phases: list[int] = msgspec.field(default_factory=list[int])
    cycle: int = 0


def reference(
    frame: pl.DataFrame,
    *,
    at: str | None,
    rows_per_window: int,
    seed: int,
    held_out: pl.Series | None = None,
    minimum: int = 28,
    grid: Grid | None = None,
) -> Reference:
    """Return the reference of a model whose training rows are `frame`.

    Counted are all columns but `loss` and those that begin with an underscore. Rows are cut into the windows of `grid`
    by their time `at` (UTC), the newest 100 at most, if `minimum` of these have 40 rows or more. Else they are cut in
    the order of `at` (shuffled, if None) into windows of `rows_per_window`; where that gives fewer than `minimum`, the
    rest are resampled, each from a run of two windows' worth of neighbouring rows: so they differ as real ones do.

    `held_out` are the scores that this very model gives to rows it never saw, oldest first; they count as `prediction`.
    Its scores of training rows are too sure, and scores of other models, as in cross-fitting, lie elsewhere: against
    either of them ordinary live windows drift. `loss` may be cross-fitted, since only its mean is compared.

    Raises:
        ValueError: If there are no rows, or `rows_per_window` is not positive.
    """
    random = np.random.default_rng(seed)
    rows = frame.sort(at, maintain_order=True) if at else frame[random.permutation(frame.height)]
    cut = _cut(rows, at, grid, rows_per_window, minimum, random)
    inputs = rows.select(name for name in rows.columns if name not in (at, LOSS, PREDICTION) and name[0] != "_")
    scores = _scores(rows, held_out)
    bins = freeze_bins(inputs, inputs.columns)
    counted = _first_met_here(inputs, bins, cut)
    bins = Bins(numeric=[*bins.numeric, *freeze_bins(scores, scores.columns).numeric], text=bins.text)
    sizes = [len(place) for place in cut.places]
    scored = _in_order(*_places(scores.height, sizes, random)) if scores.width else cut.places
    return Reference(
        bins=bins,
        windows=[count(counted[i].hstack(_at(scores, j)), bins) for i, j in zip(cut.places, scored, strict=True)],
        kind=cut.kind,
        rows=sum(sizes) if cut.kind == "windows" else min(rows.height, MOST * rows_per_window),
        scored=min(scores.height, MOST * rows_per_window),
        rows_per_window=rows_per_window,
        loss=_loss_reference(rows[LOSS].to_numpy(), rows_per_window) if LOSS in rows.columns else None,
        phases=cut.phases,
        cycle=cut.cycle,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Which rows are in each reference window, oldest first; with their phases if they are windows of the grid."""

    places: Places
    kind: Kind
    phases: list[int] = field(default_factory=list[int])
    cycle: int = 0


def _cut(
    rows: pl.DataFrame,
    at: str | None,
    grid: Grid | None,
    rows_per_window: int,
    minimum: int,
    random: np.random.Generator,
) -> Cut:
    if not rows.height or rows_per_window < 1:
        found = f"{rows.height} rows, {rows_per_window} rows a window"
        raise ValueError(f"a reference needs at least one row and one row a window, found {found}")
    real = _on_grid(rows[at], grid) if at and grid else {}
    if grid and len(real) >= minimum:
        phases = [grid.phase(key) for key in real]
        return Cut(places=list(real.values()), kind="windows", phases=phases, cycle=grid.cycle)
    size = max(minimum, min(rows.height // rows_per_window, MOST))
    places, whole = _places(rows.height, [rows_per_window] * size, random)
    return Cut(places=places, kind="windows" if whole == size else "partly resampled" if whole else "resampled")


def _on_grid(times: pl.Series, grid: Grid) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each window of `grid` that has enough of them, oldest first, the newest 100 at most."""
    keys = grid.keys_of(times).to_frame("window").with_row_index("row")
    found = keys.group_by("window", maintain_order=True).agg("row").filter(pl.col("row").list.len() >= FEWEST)
    windows = found.tail(MOST)
    places = (rows.to_numpy().astype(np.int64) for rows in windows["row"])
    return dict(zip(windows["window"], places, strict=True))


def _scores(rows: pl.DataFrame, held_out: pl.Series | None) -> pl.DataFrame:
    """Return the scores to count: those of held-out rows, else those in `rows`, else no column."""
    if held_out is not None and held_out.len():
        return held_out.alias(PREDICTION).to_frame()
    return rows.select(name for name in rows.columns if name == PREDICTION)


def logged_scores(scores: Floats) -> Floats:
    """Return the one number that the log keeps of each row's score: itself, or the place of the likeliest class."""
    return scores if scores.ndim == 1 else scores.argmax(axis=1).astype(np.float64)


def logged_losses(task: Task, labels: Floats, outputs: Floats) -> Floats:
    """Return each row's loss from the one number that the log keeps of a prediction, shape (rows,).

    That is the probability of the positive class, the value, or the place of the likeliest class; of several classes
    the loss is therefore 0 or 1.
    """
    return (labels != outputs).astype(np.float64) if task == "multiclass" else losses(task, labels, outputs)


def _places(rows: int, sizes: Sequence[int], random: np.random.Generator) -> tuple[Places, int]:
    """Return which rows are in each window, and how many windows are real: the newest ones, the rest are resampled."""
    ends = rows - np.cumsum([0, *reversed(sizes)])  # from the newest row on
    whole = min(int((ends[1:] >= 0).sum()), len(sizes))
    cuts: Places = [np.arange(ends[i + 1], ends[i]) for i in reversed(range(whole))]
    drawn: Places = []
    for size in sizes[: len(sizes) - whole]:
        span = min(rows, SPAN * size)
        drawn.append(random.integers(0, rows - span + 1) + random.integers(0, span, size))
    return [*cuts, *drawn], whole


def _in_order(places: Places, whole: int) -> Places:
    """Return windows oldest first, as their sizes were given: those that are resampled come before the real ones."""
    return [*places[whole:], *places[:whole]]


def _at(scores: pl.DataFrame, rows: NDArray[np.int64]) -> list[pl.Series]:
    return scores[rows].get_columns() if scores.width else []


def _first_met_here(rows: pl.DataFrame, bins: Bins, cut: Cut) -> pl.DataFrame:
    """Return rows in which a rare level that a single window holds (resampled: a single row) reads as unseen.

    It was unseen before that window. Otherwise the reference would hold no unseen level at all, and a column with a
    long tail of levels (towns, devices) would drift by its nature. (Leave one out; Good, Biometrika 40, 1953.)
    """
    blocks = np.arange(rows.height)
    if cut.kind == "windows":
        blocks[:] = -1
        for place, window in enumerate(cut.places):
            blocks[window] = place
    texts = [pl.col(name).cast(pl.String) for name, dtype in rows.schema.items() if dtype in TEXT]
    once = [
        pl.when(pl.col("_block").n_unique().over(part.column) == 1, pl.col(part.column).is_in(part.rare))
        .then(pl.lit(UNSEEN))
        .otherwise(pl.col(part.column))
        .alias(part.column)
        for part in bins.text
        if part.rare
    ]
    return rows.with_columns(pl.Series("_block", blocks), *texts).with_columns(once).drop("_block")


def _loss_reference(values: Floats, size: int) -> LossReference | None:
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None
    sd = float(known.std(ddof=1))
    whole = len(known) // size
    means = known[len(known) - whole * size :].reshape(whole, size).mean(axis=1)
    between = max(float(means.var(ddof=1)) - sd**2 / size, 0.0) if whole >= 5 else 0.0
    return LossReference(mean=float(known.mean()), sd=sd, rows=len(known), between=between**0.5)
