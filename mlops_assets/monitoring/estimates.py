"""Scores alone -> how good a window's predictions may be, before any label: an estimate, never a measurement.

Confidence-based performance estimation: calibrated on held-out rows, a score says how likely a row is positive, and so
how often calls like it are right (NannyML's CBPE, docs.nannyml.com). It follows a change of the inputs. It is blind to
a change of the relation between inputs and labels: then it says what would have been. So no estimate is ever compared
with a floor, and none raises an alarm.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.monitoring.quality import CALLED
from mlops_assets.training.model import Task

FEWEST = 300  # held-out rows; with 100, intervals held what came in 72 to 98 of 100 cases, with 300 in 78 to 98
FEWEST_OF_CLASS = 20
BINS = 20
DRAWS = 100
MOST = 50_000  # rows of either kind that are looked at: more change no digit that is shown, and take seconds
BLIND = "from scores alone, blind to a change of the relation between inputs and labels; they raise no alarm"
NAMES: dict[Task, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Expect = Callable[[Places, np.random.Generator | None], Floats]


class Estimate(Struct, frozen=True, kw_only=True):
    """What is expected, and the 95% interval in which it lies if inputs and labels still go together as held out."""

    value: float
    low: float
    high: float


class Estimates(Struct, frozen=True, kw_only=True):
    """Expected metrics by name, and the held-out rows behind them; `words` say what they are, or why there are none."""

    metrics: dict[str, Estimate]
    held_out: int
    words: str


def estimates(task: Task, held_codes: Floats, held_outputs: Floats, outputs: Floats, *, seed: int) -> Estimates:
    """Return what the metrics of a window with `outputs` are expected to be, from labels and outputs held out.

    The interval holds both what the calibration does not know (held-out rows are drawn again) and the chance in the
    window's own labels (they are drawn too). It is the basic bootstrap's (Davison and Hinkley, chapter 5, 1997), and
    what the bootstrap shows of the calibration's optimism is taken off the value.
    """
    known = np.isfinite(held_codes)
    labels, held = held_codes[known][-MOST:], held_outputs[known][-MOST:]
    outputs = np.sort(outputs)[:: -(-len(outputs) // MOST) or 1]  # evenly thinned over their range
    if problem := _too_few(task, labels) or ("" if len(outputs) else "no predictions in this window"):
        return Estimates(metrics={}, held_out=len(labels), words=f"no estimates: {problem}")
    expect = (_binary if task == "binary" else _classes if task == "multiclass" else _errors)(labels, held, outputs)
    random, size = np.random.default_rng(seed), len(labels)
    plain = expect(np.arange(size), None)
    drawn = np.stack([expect(random.integers(0, size, size), random) for _ in range(DRAWS)])
    under, over = np.quantile(drawn, (0.025, 0.975), axis=0)
    most = np.inf if task == "regression" else 1.0
    value, low, high = (np.clip(2 * plain - each, 0, most) for each in (drawn.mean(axis=0), over, under))
    found = {
        name: Estimate(value=value, low=low, high=high)
        for name, value, low, high in zip(NAMES[task], value.tolist(), low.tolist(), high.tolist(), strict=True)
        if np.isfinite([value, low, high]).all()
    }
    return Estimates(metrics=found, held_out=size, words=BLIND)


def _too_few(task: Task, labels: Floats) -> str:
    if len(labels) < FEWEST:
        return f"{len(labels)} held-out rows to calibrate on, needs {FEWEST}"
    fewest = int(min((labels == 1).sum(), (labels != 1).sum()))
    if task == "binary" and fewest < FEWEST_OF_CLASS:
        return f"{fewest} held-out rows of the rarer class to calibrate on, needs {FEWEST_OF_CLASS}"
    return ""


def _binary(labels: Floats, held: Floats, outputs: Floats) -> Expect:
    """Expect accuracy, precision, recall, F1 and AUC of calibrated scores, or of labels drawn with them."""
    levels, place = np.unique(outputs, return_inverse=True)
    called = levels >= CALLED

    def expect(rows: Places, random: np.random.Generator | None) -> Floats:
        chance = _calibrated(labels[rows], held[rows], levels)[place]
        happened = chance if random is None else (random.random(len(chance)) < chance).astype(np.float64)
        yes, no = (np.bincount(place, each).astype(np.float64) for each in (happened, 1 - happened))
        hits, alarms, missed = yes[called].sum(), no[called].sum(), yes[~called].sum()
        right = (hits + no[~called].sum()) / len(outputs)
        alone = float((happened * (1 - happened)).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = hits / (hits + alarms), hits / (hits + missed), 2 * hits / (2 * hits + alarms + missed)
            return np.array([right, *rates, _ranked(yes, no, alone)])

    return expect


def _calibrated(labels: Floats, scores: Floats, asked: Floats) -> Floats:
    """Return how likely a row of each score is positive: isotonic regression (Zadrozny and Elkan, KDD 2002)."""
    from scipy.optimize import isotonic_regression  # pyright: ignore[reportMissingTypeStubs]

    levels, place, times = np.unique(scores, return_inverse=True, return_counts=True)
    fitted = isotonic_regression(np.bincount(place, labels) / times, weights=times)
    return np.interp(asked, levels, np.asarray(fitted.x, dtype=np.float64))


def _ranked(yes: Floats, no: Floats, alone: float) -> np.float64:
    """Return the expected AUC by ascending score, ties counting half; `alone` are the pairs of a row with itself."""
    won = (yes * (np.cumsum(no) - no / 2)).sum() - alone / 2
    return won / (yes.sum() * no.sum() - alone)


def _classes(labels: Floats, held: Floats, outputs: Floats) -> Expect:
    """Expect accuracy: a call of a class is right as often as calls of this class were on held-out rows."""
    size = int(max(held.max(), outputs.max())) + 1

    def expect(rows: Places, random: np.random.Generator | None) -> Floats:
        called, right = held[rows].astype(np.int64), labels[rows] == held[rows]
        times = np.bincount(called, minlength=size)
        share = np.where(times > 0, np.bincount(called, right, size) / np.maximum(times, 1), right.mean())
        chance = share[outputs.astype(np.int64)]
        return np.array([(chance if random is None else random.random(len(chance)) < chance).mean()])

    return expect


def _errors(labels: Floats, held: Floats, outputs: Floats) -> Expect:
    """Expect mean absolute and root mean squared error: a value errs as values of its size did on held-out rows."""
    edges = np.unique(np.quantile(held, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, outputs, "right")

    def expect(rows: Places, random: np.random.Generator | None) -> Floats:
        bins = np.searchsorted(edges, held[rows], "right")
        order = np.argsort(bins, kind="stable")
        errors = np.abs(labels[rows] - held[rows])[order]
        times = np.bincount(bins, minlength=len(edges) + 1)
        if random is None:
            means = [np.bincount(bins[order], each, len(times)) / np.maximum(times, 1) for each in (errors, errors**2)]
            return np.array([means[0][place].mean(), np.sqrt(means[1][place].mean())])
        there = times[place] > 0
        first = np.cumsum(times) - times
        drawn = first[place] + (random.random(len(place)) * times[place]).astype(np.int64)
        seen = errors[drawn[there]] if there.any() else errors
        return np.array([seen.mean(), np.sqrt((seen**2).mean())])

    return expect
