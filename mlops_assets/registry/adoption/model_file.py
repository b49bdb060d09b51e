"""A model file made elsewhere -> what it says of itself, without running anything that is in it."""
# LightGBM's types are partial.
# pyright: reportUnknownMemberType=false

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mlops_assets.evidence.records import digest
from mlops_assets.training.model import ModelSpec, Task, decode_spec

RIGHT = "right is LightGBM's text (booster.save_model), or our .safetensors with its spec.json beside"
SPEC = "spec.json"
TASKS: dict[str, Task] = {
    **dict.fromkeys(("binary", "cross_entropy", "xentropy"), "binary"),
    **dict.fromkeys(("multiclass", "softmax", "multiclassova"), "multiclass"),
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape"), "regression"),
    **dict.fromkeys(("gamma", "tweedie"), "regression"),
}
_RUNS_CODE = {b"\x80": "a pickle", b"PK\x03\x04": "a zip with pickles in it", b"\x1f\x8b": "a packed file"}
_LOAD = "import sys, lightgbm; lightgbm.Booster(model_str=sys.stdin.buffer.read().decode())"
_UNNAMED = re.compile(r"Column_\d+")


class Trees(msgspec.Struct, frozen=True, kw_only=True):
    """What LightGBM's text says: features in order, levels of its categorical columns in order, scores of a row.

    `named` says whether the features have names of their own.
    """

    task: Task
    features: list[str]
    named: bool
    levels: list[list[str]]
    scores: int


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file as it was read once. `spec` is what lies beside it, `trees` what LightGBM's text says."""

    name: str
    data: bytes = field(repr=False)
    sha256: str
    suffix: str
    spec: ModelSpec | None
    trees: Trees | None


def read_model_file(file: Path) -> ModelFile:
    """Return the model in `file`.

    Raises:
        ValueError: If it is anything else than LightGBM's text or a safetensors file with its spec.
        OSError: If it cannot be read.
    """
    data = file.read_bytes()
    for first, what in _RUNS_CODE.items():
        if data.startswith(first):
            raise ValueError(f"{file} is {what}: loading it would run code that nobody has seen; {RIGHT}")
    beside = file.with_name(SPEC)
    spec = _spec(beside) if beside.exists() else None
    if data.startswith(b"tree\n"):
        return ModelFile(
            name=file.name, data=data, sha256=digest(data), suffix="txt", spec=spec, trees=_trees(file, data)
        )
    if file.suffix != ".safetensors" or data[8:9] != b"{":
        raise ValueError(f"{file} is no model file known here; {RIGHT}")
    if spec is None:
        raise ValueError(f"{file} has no {SPEC} beside it, which says what its numbers mean; {RIGHT}")
    return ModelFile(name=file.name, data=data, sha256=digest(data), suffix="safetensors", spec=spec, trees=None)


def gains(file: ModelFile) -> list[float]:
    """Return what each feature of LightGBM's model is worth, having loaded it in a process of its own first.

    Of a damaged model LightGBM ends the process that it is in.

    Raises:
        ValueError: If LightGBM cannot load it.
    """
    tried = subprocess.run([sys.executable, "-c", _LOAD], input=file.data, capture_output=True, check=False)
    if tried.returncode:
        said = tried.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {tried.returncode}"]
        raise ValueError(f"{file.name}: LightGBM cannot read it; it is cut off or damaged ({said[-1]})")
    from lightgbm import Booster

    return [float(gain) for gain in Booster(model_str=file.data.decode()).feature_importance("gain")]


def _spec(file: Path) -> ModelSpec:
    try:
        return decode_spec(file.read_bytes())
    except msgspec.DecodeError as problem:
        raise ValueError(f"{file} is no spec of ours: {problem}; {RIGHT}") from problem


def _trees(file: Path, data: bytes) -> Trees:
    """Return what the text says, read without LightGBM."""
    try:
        text = data.decode()
    except UnicodeDecodeError as problem:
        raise ValueError(f"{file} begins as LightGBM's text and is none; {RIGHT}") from problem
    names = (_line(text, "feature_names") or "").split(" ")
    said = (_line(text, "objective") or "none, or one's own").split(" ")[0]
    task = TASKS.get(said)
    if task is None:
        raise ValueError(f"{file}: its objective is {said}; known are {', '.join(TASKS)}")
    levels = text.rpartition("\npandas_categorical:")[2] if "\npandas_categorical:" in text else "null"
    try:
        found = msgspec.json.decode(levels, type=list[list[str]] | None)
        scores = int(_line(text, "num_tree_per_iteration") or "")
    except (msgspec.MsgspecError, ValueError) as problem:
        raise ValueError(f"{file}: it is damaged, or a category is no text ({problem}); {RIGHT}") from problem
    named = not all(_UNNAMED.fullmatch(name) for name in names)
    return Trees(task=task, features=names, named=named, levels=found or [], scores=scores)


def _line(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    return found[1] if found else None
