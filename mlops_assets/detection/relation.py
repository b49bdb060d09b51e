"""Labelled rows and a model's answers -> would a correction learned from some of them have made the others better?

A loss above the held-out loss has two causes: the relation of inputs and outcome has changed, or the rows are harder
ones. Only the first is mended by a training. So here a model's answers are compared with its own answers, corrected,
on the same rows, and how hard these are drops out: a small additive correction per bin of each input, shrunken, is
learned from four fifths of the rows in time order and tried on the last fifth, in turn (paired learners: Bach and
Maloof, ICDM 2008; here the reactive learner starts from the stable one's answer). If the relation is as it was, what
the correction learns is chance, and makes other rows worse. Rows of neighbouring times go together, so the noise is
that of blocks of them, not of rows.

A window alarms by itself, or together with the one before (Stouffer, The American Soldier, 1949).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.detection.noise import student_tail
from mlops_assets.detection.verdict import ColumnShift, Verdict, concept
from mlops_assets.evidence.records import Struct
from mlops_assets.training.model import Task, is_text
from mlops_assets.training.reference import LOSS

ALPHA = 0.001  # of a window by itself, and of two together: a training costs more than a look
PROMISED = 2 * ALPHA
FEWEST_ROWS = 200
MOST_ROWS = 50_000  # more are thinned out evenly: the smallest gain that is seen is far below any that matters then
BLOCKS = (10, 20)  # fewer than the first say too little of their spread: the rows are cut into the second
FOLDS = 5
BINS = 8  # per column
PRIOR = 30.0  # 1 / variance of a correction in logits: 0.18 is large, so that a few rows do not move an answer
STEPS = 4  # of Newton's method; from 0 and with this prior it is there by then
SURE = 1e-3  # probabilities are clipped to [0.001, 0.999]: no correction has to overcome a certainty

Floats = NDArray[np.float64]


class RelationEvidence(Struct, frozen=True, kw_only=True):
    """What the window before said, as a score that is normal if there is nothing to mend."""

    score: float


@dataclass(frozen=True, kw_only=True)
class JudgedRelation:
    """The verdict on a window's relation, and the evidence to carry to the next window of the same model."""

    verdict: Verdict
    evidence: RelationEvidence | None


@dataclass(frozen=True, kw_only=True)
class Mended:
    """By how much corrected answers have less loss a row, in the unit of the loss; the p-value of no such gain."""

    gain: float
    loss: float
    p_value: float
    blocks: int


def judge_relation(
    inputs: pl.DataFrame,
    labels: Floats,
    outputs: Floats,
    blocks: Sequence[int],
    task: Task,
    *,
    carried: RelationEvidence | None = None,
) -> JudgedRelation:
    """Return whether a correction of `outputs` would have been worth it: drift if so.

    `outputs` is the probability of the positive class or the value. `blocks` says in which monitoring window each row
    is; rows are oldest first. Several classes cannot be told, since the log keeps only the likeliest one.
    """
    if problem := _too_little(labels, task):
        words = f"cannot tell: {problem}"
        return JudgedRelation(
            verdict=concept("cannot tell", None, len(labels), words, promised=PROMISED), evidence=carried
        )
    found = mended(inputs, labels, outputs, blocks, task)
    score = _score(found.p_value)
    both = _p_value((score + carried.score) / sqrt(2)) if carried else 1.0
    over, p_value = (2, both) if found.p_value > ALPHA and both <= ALPHA else (1, found.p_value)
    evidence = RelationEvidence(score=float(f"{score:.6g}"))
    return JudgedRelation(verdict=_answer(found, p_value, over, len(labels)), evidence=evidence)


def _answer(found: Mended, p_value: float, over: int, rows: int) -> Verdict:
    share = found.gain / found.loss if found.loss else 0.0
    numbers = f"corrected answers have {abs(share):.1%} {'less' if share >= 0 else 'more'} loss on other rows"
    if p_value > ALPHA:
        quiet = f"nothing to mend: {numbers} (p = {p_value:.2g})"
        return concept("ok", p_value, rows, quiet, promised=PROMISED, windows=found.blocks)
    shift = ColumnShift(column=LOSS, effect=round(share, 6), unit="share", p_value=p_value, words=numbers)
    together = ", two windows together" if over > 1 else ""
    words = f"concept drift: {numbers} (p = {p_value:.1g} over {found.blocks} blocks of rows{together})"
    return concept("drift", p_value, rows, words, promised=PROMISED, windows=found.blocks, columns=(shift,), over=over)


def mended(inputs: pl.DataFrame, labels: Floats, outputs: Floats, blocks: Sequence[int], task: Task) -> Mended:
    """Return what a correction would have been worth; Student's one-sided test over blocks of rows."""
    every = -(-len(labels) // MOST_ROWS)
    inputs, labels, outputs, blocks = inputs.gather_every(every), labels[::every], outputs[::every], blocks[::every]
    place = _places(blocks)
    count = int(place[-1]) + 1
    design, fold = _design(inputs), place * FOLDS // count
    gains, before = np.empty(len(labels)), _loss(labels, _offset(outputs, task), task)
    for each in range(FOLDS):
        tried = fold == each
        learned = _learn(design[~tried], labels[~tried], _offset(outputs[~tried], task), task)
        after = _loss(labels[tried], _offset(outputs[tried], task) + design[tried] @ learned, task)
        gains[tried] = before[tried] - after
    means = np.bincount(place, gains) / np.bincount(place)
    error = float(means.std(ddof=1)) / np.sqrt(count)
    score = float(means.mean()) / error if error else 0.0
    p_value = float(student_tail(np.array([score]), np.array([count - 1.0]))[0])
    return Mended(gain=float(means.mean()), loss=float(before.mean()), p_value=p_value, blocks=count)


def _too_little(labels: Floats, task: Task) -> str | None:
    if task == "multiclass":
        return "of several classes only the likeliest is known"
    return None if len(labels) >= FEWEST_ROWS else f"{len(labels)} labelled rows, needs {FEWEST_ROWS}"


def _places(blocks: Sequence[int]) -> NDArray[np.int64]:
    """Return the block of each row, counted from 0; rows in too few blocks are cut anew."""
    _, place = np.unique(np.asarray(blocks), return_inverse=True)
    rows = len(place)
    return place.astype(np.int64) if place.max() + 1 >= BLOCKS[0] else np.arange(rows) * BLOCKS[1] // rows


def _design(inputs: pl.DataFrame) -> Floats:
    """Return a column of ones and one per bin of each input, shape (rows, bins)."""
    parts: list[Floats] = [np.ones((inputs.height, 1))]
    for series in inputs.iter_columns():
        codes = _levels(series) if is_text(series.dtype) else _quantiles(series)
        parts.append(np.eye(int(codes.max()) + 1)[codes])
    return np.hstack(parts)


def _quantiles(series: pl.Series) -> NDArray[np.int64]:
    values = series.cast(pl.Float64).to_numpy()
    known = values[np.isfinite(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values)).astype(np.int64)


def _levels(series: pl.Series) -> NDArray[np.int64]:
    text = series.cast(pl.String).rename("level")
    known = text.value_counts().sort(["count", "level"], descending=[True, False])["level"].head(BINS).to_list()
    return text.replace_strict(known, range(len(known)), default=len(known)).to_numpy().astype(np.int64)


def _offset(outputs: Floats, task: Task) -> Floats:
    if task == "regression":
        return outputs
    clipped = np.clip(outputs, SURE, 1 - SURE)
    return np.log(clipped / (1 - clipped))


def _loss(labels: Floats, answers: Floats, task: Task) -> Floats:
    lost: Floats = (answers - labels) ** 2 if task == "regression" else np.logaddexp(0, answers) - labels * answers
    return lost


def _learn(design: Floats, labels: Floats, answers: Floats, task: Task) -> Floats:
    """Return the shrunken correction per bin: ridge regression of the residuals, logistic for a probability."""
    prior: Floats = PRIOR * np.eye(design.shape[1])
    if task == "regression":
        return np.asarray(np.linalg.solve(design.T @ design + prior, design.T @ (labels - answers)), dtype=np.float64)
    correction = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(-np.clip(answers + design @ correction, -30, 30)))
        weights = chances * (1 - chances) + 1e-6
        slope = design.T @ (labels - chances) - PRIOR * correction
        correction = correction + np.linalg.solve((design * weights[:, None]).T @ design + prior, slope)
    return correction


def _score(p_value: float) -> float:
    from scipy.special import ndtri  # pyright: ignore[reportMissingTypeStubs]

    return float(-ndtri(np.clip(p_value, 1e-12, 1 - 1e-12)))


def _p_value(score: float) -> float:
    from scipy.special import ndtr  # pyright: ignore[reportMissingTypeStubs]

    return float(ndtr(-score))
