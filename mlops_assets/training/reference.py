"""Scored training rows -> what live windows are judged against: frozen bins, counts of 28 windows or more, loss."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.training.bins import TEXT, Bins, Counts, NumericBins, TextBins, count, kind_of, numbers_of
from mlops_assets.training.metrics import losses
from mlops_assets.training.model import Task

PREDICTION = "prediction"
LOSS = "loss"
QUANTILES = 20
LEVELS = 20
EXTREMES = 2  # outermost values at either end that count as out of range; else only live windows would have any
RARE = 5_000  # a column with more levels than these has no closed list of values, so none of them is "unseen"
MOST = 100  # windows: 1 in 101 can then be promised whatever the noise; more windows cost bytes and buy little
SPAN = 2  # windows' worth of neighbouring rows that one resampled window draws from
UNSEEN = "\x00unseen"

Floats = NDArray[np.float64]
Kind = Literal["windows", "partly resampled", "resampled"]


class LossReference(Struct, frozen=True, kw_only=True):
    """Loss on rows that the model was not fitted on. `between` is the sd of windows' means beyond chance."""

    mean: float
    sd: float
    rows: int
    between: float = 0.0


class Reference(Struct, frozen=True, kw_only=True):
    """What training saw, cut into windows. `kind` says whether rows sufficed.

    `rows` counts the distinct rows behind the inputs, `scored` those behind `prediction`.
    """

    bins: Bins
    windows: list[Counts]
    kind: Kind
    rows: int
    scored: int
    rows_per_window: int
    loss: LossReference | None = None


def reference(
    frame: pl.DataFrame,
    *,
    at: str | None,
    rows_per_window: int,
    seed: int,
    held_out: pl.Series | None = None,
    minimum: int = 28,
) -> Reference:
    """Return the reference of a model whose training rows are `frame`.

    Counted are all columns but `loss` and those that begin with an underscore. Rows are cut in the order of `at` into
    windows of `rows_per_window`, the newest 100 at most; without a time column they are shuffled first. Where that
    gives fewer than `minimum`, the rest are resampled, each from a run of two windows' worth of neighbouring rows, so
    that they differ from each other at least as much as real windows do.

    `held_out` are the scores that this very model gives to rows it never saw, oldest first; they count as `prediction`.
    Its scores of training rows are too sure, and scores of other models, as in cross-fitting, lie elsewhere: against
    either of them ordinary live windows drift. `loss` may be cross-fitted, since only its mean is compared.

    Raises:
        ValueError: If there are no rows, or `rows_per_window` is not positive.
    """
    if not frame.height or rows_per_window < 1:
        found = f"{frame.height} rows, {rows_per_window} rows a window"
        raise ValueError(f"a reference needs at least one row and one row a window, found {found}")
    random = np.random.default_rng(seed)
    rows = frame.sort(at, maintain_order=True) if at else frame[random.permutation(frame.height)]
    size = max(minimum, min(rows.height // rows_per_window, MOST))
    inputs = rows.select(name for name in rows.columns if name not in (at, LOSS, PREDICTION) and name[0] != "_")
    scores = _scores(rows, held_out)
    places, whole = _places(rows.height, rows_per_window, size, random)
    bins = freeze_bins(inputs, inputs.columns)
    counted = _first_met_here(inputs, bins, rows_per_window if whole == size else 1)
    bins = Bins(numeric=[*bins.numeric, *freeze_bins(scores, scores.columns).numeric], text=bins.text)
    scored, _ = _places(scores.height, rows_per_window, size, random) if scores.width else (places, 0)
    return Reference(
        bins=bins,
        windows=[count(counted[i].hstack(_at(scores, j)), bins) for i, j in zip(places, scored, strict=True)],
        kind="windows" if whole == size else "partly resampled" if whole else "resampled",
        rows=min(rows.height, MOST * rows_per_window),
        scored=min(scores.height, MOST * rows_per_window),
        rows_per_window=rows_per_window,
        loss=_loss_reference(rows[LOSS].to_numpy(), rows_per_window) if LOSS in rows.columns else None,
    )


def _scores(rows: pl.DataFrame, held_out: pl.Series | None) -> pl.DataFrame:
    """Return the scores to count: those of held-out rows, else those in `rows`, else no column."""
    if held_out is not None and held_out.len():
        return held_out.alias(PREDICTION).to_frame()
    return rows.select(name for name in rows.columns if name == PREDICTION)


def freeze_bins(frame: pl.DataFrame, columns: Sequence[str]) -> Bins:
    """Return the bins of `columns`: 20 quantile bins of a numeric one, the 20 most frequent levels of a text one.

    Raises:
        ValueError: If a column is missing, or neither a number nor text.
    """
    numeric: list[NumericBins] = []
    text: list[TextBins] = []
    for name in columns:
        if name not in frame.columns:
            raise ValueError(f"no column {name!r} to freeze bins of; found: {', '.join(frame.columns)}")
        kind = kind_of(frame.schema[name])
        if kind == "text":
            text.append(_text_bins(frame[name]))
        elif kind in ("number", "nothing"):
            numeric.append(_numeric_bins(name, numbers_of(frame[name])))
        else:
            raise ValueError(f"column {name!r} is {frame.schema[name]}; right is a number, a bool or text")
    return Bins(numeric=numeric, text=text)


def logged_losses(task: Task, labels: Floats, outputs: Floats) -> Floats:
    """Return each row's loss from the one number that the log keeps of a prediction, shape (rows,).

    That is the probability of the positive class, the value, or the place of the likeliest class; of several classes
    the loss is therefore 0 or 1.
    """
    return (labels != outputs).astype(np.float64) if task == "multiclass" else losses(task, labels, outputs)


def _places(rows: int, size: int, windows: int, random: np.random.Generator) -> tuple[list[NDArray[np.int64]], int]:
    """Return which rows are in each window, and how many windows are real: the newest ones, the rest are resampled."""
    whole = min(rows // size, windows)
    cuts = [np.arange(rows - size * (whole - i), rows - size * (whole - i - 1)) for i in range(whole)]
    span = min(rows, SPAN * size)
    starts = random.integers(0, rows - span + 1, windows - whole)
    return [*cuts, *(start + random.integers(0, span, size) for start in starts)], whole


def _at(scores: pl.DataFrame, rows: NDArray[np.int64]) -> list[pl.Series]:
    return scores[rows].get_columns() if scores.width else []


def _first_met_here(rows: pl.DataFrame, bins: Bins, size: int) -> pl.DataFrame:
    """Return rows in which a rare level that a single block of `size` rows holds reads as unseen.

    It was unseen before that block. Otherwise the reference would hold no unseen level at all, and a column with a long
    tail of levels (towns, devices) would drift by its nature. (Leave one out; Good, Biometrika 40, 1953.)
    """
    block = pl.Series("_block", np.arange(rows.height)[::-1] // size)  # counted from the newest row, as the windows are
    texts = [pl.col(name).cast(pl.String) for name, dtype in rows.schema.items() if dtype in TEXT]
    once = [
        pl.when(pl.col("_block").n_unique().over(part.column) == 1, pl.col(part.column).is_in(part.rare))
        .then(pl.lit(UNSEEN))
        .otherwise(pl.col(part.column))
        .alias(part.column)
        for part in bins.text
        if part.rare
    ]
    return rows.with_columns(block, *texts).with_columns(once).drop("_block")


def _loss_reference(values: Floats, size: int) -> LossReference | None:
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None
    sd = float(known.std(ddof=1))
    whole = len(known) // size
    means = known[len(known) - whole * size :].reshape(whole, size).mean(axis=1)
    between = max(float(means.var(ddof=1)) - sd**2 / size, 0.0) if whole >= 5 else 0.0
    return LossReference(mean=float(known.mean()), sd=sd, rows=len(known), between=between**0.5)


def _numeric_bins(name: str, values: Floats) -> NumericBins:
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return NumericBins(column=name, edges=[], low=0.0, high=0.0, mean=0.0, sd=0.0)
    ends = EXTREMES if len(finite) > QUANTILES * EXTREMES else 0
    cuts = finite[np.linspace(ends, len(finite) - 1 - ends, QUANTILES + 1).astype(int)]
    ties = cuts[:-1][cuts[1:] == cuts[:-1]]  # a value that fills a whole bin gets a bin of its own
    edges = np.unique(np.concatenate([cuts, np.nextafter(ties, np.inf), np.nextafter(cuts[-1:], np.inf)]))
    inner_low, inner_high = finite[int(0.001 * (len(finite) - 1))], finite[int(np.ceil(0.999 * (len(finite) - 1)))]
    width = (inner_high - inner_low) or (finite[-1] - finite[0])
    low, high = float(max(finite[0], inner_low - width)), float(min(finite[-1], inner_high + width))
    clipped = np.clip(finite, low, high)
    return NumericBins(
        column=name, edges=edges.tolist(), low=low, high=high, mean=float(clipped.mean()), sd=float(clipped.std())
    )


def _text_bins(series: pl.Series) -> TextBins:
    found = series.cast(pl.String).drop_nulls().value_counts(name="rows")
    levels = found.sort(["rows", series.name], descending=[True, False])[series.name].to_list()
    rare = sorted(levels[LEVELS:])
    return TextBins(column=series.name, levels=levels[:LEVELS], rare=rare if len(rare) <= RARE else None)
