"""Several trainers and parameters -> the model with the least loss on the validation rows, and all that was tried.

What is tried next is proposed by a tree-structured Parzen estimator: Bergstra et al., NeurIPS (2011).
"""
# optuna's types are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.rules import Range, Scalar, Search
from mlops_assets.training.fitting import Trained, Trial, as_recorded
from mlops_assets.training.metrics import METRICS
from mlops_assets.training.model import label_codes, to_matrix
from mlops_assets.training.trainers import load_predictor, trainer_named
from mlops_assets.training.training_set import TrainingSet, parts

if TYPE_CHECKING:
    import optuna

LOSS = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
log = logging.getLogger(__name__)
Clock = Callable[[], float]  # in s


@dataclass(kw_only=True)
class _Tried:
    """The trials so far, by what was tried, and the best model of them."""

    trials: dict[str, Trial] = field(default_factory=dict[str, Trial])
    best: Trained | None = None
    won: str = ""
    gpu_s: float = 0.0


def searched(search: Search, data: TrainingSet, seed: int, clock: Clock = time.monotonic) -> Trained:
    """Return the winner. It is the same for the same seed, unless `minutes` ended the search: then it is `cut_short`.

    Each trainer is tried once before the proposals begin. What is proposed again is not trained again.

    Raises:
        ValueError: If every trial failed; the message says of what the first one did.
    """
    study, tried, began, made = _study(search, seed), _Tried(), clock(), 0
    while made < search.trials and not (made and search.minutes and clock() - began >= 60 * search.minutes):
        made += 1
        asked = study.ask()
        kind, params = _proposed(asked, search)
        what = _named(kind, params)
        if what not in tried.trials:
            _try(tried, what, kind, params, _own_folder(data, made), seed)
            log.info("trial %d of %d: %s", made, search.trials, _said(tried, what, data))
        loss = tried.trials[what].loss
        _tell(study, asked, loss)
    if tried.best is None:
        what, first = next(iter(tried.trials.items()))
        raise ValueError(f"search: each of {len(tried.trials)} trials failed; the first, {what}: {first.problem}")
    trials = tuple(replace(trial, won=what == tried.won) for what, trial in tried.trials.items())
    return replace(tried.best, trials=trials, cut_short=made < search.trials, gpu_s=tried.gpu_s)


def _try(tried: _Tried, what: str, kind: str, params: dict[str, Scalar], data: TrainingSet, seed: int) -> None:
    """Train once and write down what came of it; a trial that fails does not end the search."""
    try:
        trained = trainer_named(kind, params)(data, params, seed)
        loss = _loss(kind, trained, data, seed)
    except ValueError as problem:
        tried.trials[what] = Trial(kind=kind, params=params, loss=None, problem=str(problem))
        return
    tried.gpu_s += trained.gpu_s
    tried.trials[what] = Trial(
        kind=kind,
        params=params,
        loss=loss,
        metrics={name: float(value) for name, value in trained.metrics.items()},
        history={name: list(map(float, values)) for name, values in trained.history.items()},
    )
    least = tried.trials[tried.won].loss if tried.won else None
    if least is None or loss < least:
        tried.best, tried.won = trained, what


def _loss(kind: str, trained: Trained, data: TrainingSet, seed: int) -> float:
    """Return the task's loss of the stored model on the rows that every trainer chooses by."""
    rows = parts(data, seed).validation
    if not np.array_equal(trained.validation, rows):
        right = "`validation=parts(features, seed).validation` in what it returns, none of them fitted on"
        raise ValueError(f"{kind} says of no or other rows that it chose by them; in a search right is {right}")
    matrix = to_matrix(data.features[rows], trained.spec)
    labels = label_codes(data.labels[rows], trained.spec)
    scores = load_predictor(trained.spec, trained.model_bytes)(matrix)
    loss = float(METRICS[data.task][LOSS[data.task]](labels, scores, None))
    if not np.isfinite(loss):
        raise ValueError(f"the validation loss is {loss}; right is a number")
    return loss


def _study(search: Search, seed: int) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for place in range(len(search.trainers)):
        study.enqueue_trial({"trainer": place})
    return study


def _proposed(asked: "optuna.Trial", search: Search) -> tuple[str, dict[str, Scalar]]:
    """Return the trainer and the parameters to try; those of two trainers are never taken for the same."""
    place = int(asked.suggest_categorical("trainer", range(len(search.trainers))))
    chosen = search.trainers[place]
    params = {name: _value(asked, f"{place}.{name}", among) for name, among in chosen.params.items()}
    return chosen.kind, as_recorded(params)


def _value(asked: "optuna.Trial", name: str, among: Scalar | tuple[Scalar, ...] | Range) -> Scalar:
    if isinstance(among, tuple):
        return among[int(asked.suggest_categorical(name, range(len(among))))]
    if not isinstance(among, Range):
        return among
    if isinstance(among.low, int) and isinstance(among.high, int):
        return asked.suggest_int(name, among.low, among.high, log=among.log)
    return asked.suggest_float(name, among.low, among.high, log=among.log)


def _tell(study: "optuna.Study", asked: "optuna.Trial", loss: float | None) -> None:
    import optuna

    if loss is None:
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(asked, loss)


def _own_folder(data: TrainingSet, number: int) -> TrainingSet:
    """Return the rows with a folder for this trial's checkpoints alone: a search that was killed finds them there."""
    folder = data.machine.checkpoints
    return replace(data, machine=replace(data.machine, checkpoints=folder / f"trial-{number}")) if folder else data


def _named(kind: str, params: dict[str, Scalar]) -> str:
    return " ".join([kind, *(f"{name}={value}" for name, value in sorted(params.items()))])


def _said(tried: _Tried, what: str, data: TrainingSet) -> str:
    trial, best = tried.trials[what], tried.trials.get(tried.won)
    shown = _named(trial.kind, {name: _short(value) for name, value in trial.params.items()})
    if trial.loss is None:
        return f"{shown} failed: {trial.problem}"
    least = f" (best {best.loss:.5g})" if best and best.loss is not None and best.loss != trial.loss else ""
    return f"{shown}: {LOSS[data.task]} {trial.loss:.5g}{least}"


def _short(value: Scalar) -> Scalar:
    return float(f"{value:.3g}") if isinstance(value, float) else value
