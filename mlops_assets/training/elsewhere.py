"""A model and its training set -> what another process makes of both, which has nothing of this one but files."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from mlops_assets.training.fitting import Trained
from mlops_assets.training.model import Matrix, Task, decode_spec, encode_spec, to_matrix
from mlops_assets.training.own import own_trainer
from mlops_assets.training.training_set import TrainingSet

CODE = "import sys; sys.path[:] = {path!r}; from mlops_assets.training.elsewhere import answer; answer({folder!r})"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the other process is to train; the rows lie beside it."""

    kind: str
    params: dict[str, int | float | str | bool]
    seed: int
    task: Task
    windows: list[int]
    forget: bool
    ordered: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Elsewhere:
    """What another process says: the stored model's scores of all rows, and the bytes of a training of its own."""

    scores: Matrix
    model_bytes: bytes


class FailedElsewhere(RuntimeError):
    """The other process ended with an error; the message is what it said last."""


def elsewhere(
    kind: str, trained: Trained, data: TrainingSet, params: Mapping[str, int | float | str | bool], seed: int
) -> Elsewhere:
    """Return what a new process makes of a model of the user's trainer `kind`, and of its training set.

    Raises:
        FailedElsewhere: If it cannot load the model or train it.
    """
    asked = Asked(
        kind=kind,
        params=dict(params),
        seed=seed,
        task=data.task,
        windows=list(data.windows),
        forget=data.forget,
        ordered=data.ordered,
    )
    with tempfile.TemporaryDirectory() as held:
        folder = Path(held)
        data.features.write_ipc(folder / "features.arrow")
        data.labels.to_frame("label").write_ipc(folder / "labels.arrow")
        (folder / "asked.json").write_bytes(msgspec.json.encode(asked))
        (folder / "spec.json").write_bytes(encode_spec(trained.spec))
        (folder / "model").write_bytes(trained.model_bytes)
        code = CODE.format(path=sys.path, folder=held)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailedElsewhere(done.stderr.strip().rpartition("\n")[2])
        return Elsewhere(scores=np.load(folder / "scores.npy"), model_bytes=(folder / "again").read_bytes())


def answer(held: str) -> None:
    """Predict with the model in a folder and train it again; write both beside it."""
    folder = Path(held)
    asked = msgspec.json.decode((folder / "asked.json").read_bytes(), type=Asked)
    data = TrainingSet(
        features=pl.read_ipc(folder / "features.arrow"),
        labels=pl.read_ipc(folder / "labels.arrow").to_series(),
        task=asked.task,
        windows=tuple(asked.windows),
        forget=asked.forget,
        ordered=asked.ordered,
    )
    own, spec = own_trainer(asked.kind), decode_spec((folder / "spec.json").read_bytes())
    predict = own.load_predictor(spec, (folder / "model").read_bytes())
    np.save(folder / "scores.npy", predict(to_matrix(data.features, spec)))
    (folder / "again").write_bytes(own.fit(data, asked.params, asked.seed).model_bytes)
