"""What a user's trainer returned -> what is wrong with it, if anything is."""

import io
import zipfile
from collections.abc import Iterator

import numpy as np

from mlops_assets.training.fitting import Trained
from mlops_assets.training.training_set import TrainingSet, parts, spec_of

PICKLES = tuple(bytes([0x80, version]) for version in range(2, 6))  # how pickles of the protocols 2 to 5 begin


def problem_of(made: object, data: TrainingSet, seed: int) -> str | None:
    """Return what was found and what would be right, of the first thing that is wrong; None if nothing is."""
    if not isinstance(made, Trained):
        return f"returned a {type(made).__name__}; right is a Trained of mlops_assets.training.fitting"
    return next(_problems(made, data, seed), None)


def _problems(trained: Trained, data: TrainingSet, seed: int) -> Iterator[str]:
    yield from _of_the_bytes(trained.model_bytes)
    yield from _of_the_spec(trained, data, seed)
    right = parts(data, seed).holdout
    if not np.array_equal(trained.holdout, right):
        found = f"{len(trained.holdout)} other rows are held out"
        yield f"{found}; right are the {len(right)} of `parts(features, seed).holdout`, by which models are compared"
    yield from _of_the_scores(trained, len(right))
    windows = len(data.filled)
    if not 1 <= trained.windows_used <= windows or not 1 <= trained.rows_used <= data.features.height:
        found = f"windows_used is {trained.windows_used}, rows_used is {trained.rows_used}"
        yield f"{found}; right is at most {windows} and {data.features.height}, and 1 or more"


def _of_the_bytes(model: object) -> Iterator[str]:
    """Yield why something is no model that can be stored. A pickle runs code where it is loaded."""
    if not isinstance(model, bytes):
        yield f"model_bytes is a {type(model).__name__}; right is bytes"
    elif not model:
        yield "model_bytes is empty; right is what load_predictor reads the model from"
    elif model.startswith(PICKLES) or _is_zip_of_pickles(model):
        right = "a format that holds no code: a library's own text or JSON, safetensors, ONNX"
        yield f"model_bytes is a pickle, which runs code where it is loaded; right is {right}"


def _is_zip_of_pickles(model: bytes) -> bool:
    """Return whether it is what torch.save writes."""
    if not zipfile.is_zipfile(io.BytesIO(model)):
        return False
    with zipfile.ZipFile(io.BytesIO(model)) as files:
        return any(name.endswith((".pkl", ".pickle")) for name in files.namelist())


def _of_the_spec(trained: Trained, data: TrainingSet, seed: int) -> Iterator[str]:
    spec, right = trained.spec, spec_of(data, seed, trained.spec.kind)
    for name in ("features", "task", "classes", "categories"):
        found, wanted = getattr(spec, name), getattr(right, name)
        if found != wanted:
            yield f"spec.{name} is {found}; right is {wanted}, as `spec_of(features, seed, kind)` has it"
    if spec.importance and set(spec.importance) != set(right.features):
        yield f"spec.importance is of {list(spec.importance)}; right is one share for each feature: {right.features}"


def _of_the_scores(trained: Trained, rows: int) -> Iterator[str]:
    scores, classes = np.asarray(trained.scores), len(trained.spec.classes)
    right = (rows, classes) if trained.spec.task == "multiclass" else (rows,)
    if scores.shape != right or scores.dtype.kind != "f":
        yield f"scores have the shape {scores.shape} of {scores.dtype}; right is {right} of float64"
    elif not np.isfinite(scores).all():
        yield f"{int((~np.isfinite(scores)).sum())} scores are not finite; right is a number for every held-out row"
    elif classes and not ((scores >= 0) & (scores <= 1)).all():
        yield f"scores lie in [{scores.min():g}, {scores.max():g}]; right are probabilities, in [0, 1]"
