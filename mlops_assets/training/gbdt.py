"""Gradient-boosted trees: LightGBM with native categories and missing values, stored as its text."""
# LightGBM's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.training.fitting import Learned, Learner, Params, Rows, Trained, train
from mlops_assets.training.machine import Machine
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, Task
from mlops_assets.training.training_set import TrainingSet

if TYPE_CHECKING:
    import lightgbm

DEFAULTS: dict[str, int | float | str | bool] = {
    "num_iterations": 300,
    "early_stopping_round": 20,
    "learning_rate": 0.1,
    "num_threads": 1,
}
OBJECTIVES: dict[Task, tuple[str, str]] = {
    "binary": ("binary", "binary_logloss"),
    "multiclass": ("multiclass", "multi_logloss"),
    "regression": ("regression", "rmse"),
}
PARAMS = (
    *DEFAULTS,
    *("num_leaves", "max_depth", "min_data_in_leaf", "min_sum_hessian_in_leaf", "min_gain_to_split", "max_bin"),
    *("feature_fraction", "bagging_fraction", "bagging_freq", "lambda_l1", "lambda_l2", "path_smooth", "boosting"),
    *("extra_trees", "linear_tree", "is_unbalance", "scale_pos_weight", "objective", "alpha", "max_cat_threshold"),
    *("cat_smooth", "cat_l2", "min_data_per_group", "max_cat_to_onehot"),
)


def fit(features: TrainingSet, params: Params, seed: int) -> Trained:
    """Return LightGBM trained on `features`; `params` are LightGBM's own, one thread unless `num_threads` says more."""
    return train(features, params, seed, LIGHTGBM)


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Predictor:
    """Return the function that predicts with the model text `model_bytes`."""
    from lightgbm import Booster

    booster = Booster(model_str=model_bytes.decode())

    def predict(matrix: Matrix) -> Matrix:
        if len(matrix) == 0:
            return np.empty((0, len(spec.classes)) if spec.task == "multiclass" else 0)
        return np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)

    return predict


def _fit(spec: ModelSpec, rows: Rows, validation: Rows, params: Params, seed: int, machine: Machine) -> Learned:
    import lightgbm

    chosen = {**DEFAULTS, **params}
    history: dict[str, dict[str, list[float]]] = {}
    training = _dataset(spec, rows)
    try:
        booster = lightgbm.train(
            _forced(spec, chosen, seed),
            training,
            num_boost_round=int(chosen["num_iterations"]),
            valid_sets=[_dataset(spec, validation, training)],
            valid_names=["validation"],
            callbacks=[*_early_stopping(chosen), lightgbm.record_evaluation(history)],
        )
    except lightgbm.basic.LightGBMError as problem:
        raise ValueError(f"lightgbm: {str(problem).partition(' at /')[0]}") from problem  # without its source's path
    rounds = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
    [losses] = history["validation"].values()
    return Learned(
        model_bytes=booster.model_to_string(num_iteration=rounds).encode(),
        loss=losses[rounds - 1],
        history={f"validation_{name}": values for name, values in history["validation"].items()},
        gains=booster.feature_importance("gain", iteration=rounds).tolist(),
        params={**chosen, "best_iteration": rounds},
    )


def _early_stopping(chosen: Params) -> list[Callable[["lightgbm.callback.CallbackEnv"], None]]:
    """Return the callback that ends a training; none at 0 rounds, nor for dart, which changes earlier trees."""
    import lightgbm

    rounds = int(chosen["early_stopping_round"])
    return [] if rounds <= 0 or chosen.get("boosting") == "dart" else [lightgbm.early_stopping(rounds, verbose=False)]


def _dataset(spec: ModelSpec, rows: Rows, like: "lightgbm.Dataset | None" = None) -> "lightgbm.Dataset":
    from lightgbm import Dataset

    categories = [place for place, name in enumerate(spec.features) if name in spec.categories]
    return Dataset(rows.matrix, rows.labels, reference=like, categorical_feature=categories)


def _forced(spec: ModelSpec, chosen: Params, seed: int) -> dict[str, int | float | str | bool]:
    """Return the parameters with those that make the same input give the same bytes."""
    objective, metric = OBJECTIVES[spec.task]
    own = {name: value for name, value in chosen.items() if name not in ("num_iterations", "early_stopping_round")}
    classes = {"num_class": len(spec.classes)} if spec.task == "multiclass" else {}
    fixed = {"metric": metric, "seed": seed, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    return {"objective": objective, **own, **classes, **fixed}


LIGHTGBM = Learner(kind="lightgbm", fit=_fit, load=load_predictor)
