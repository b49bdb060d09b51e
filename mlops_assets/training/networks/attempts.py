"""A descent as a machine allows it: here or in several processes, and with half the batch where memory is short."""

import json
from pathlib import Path

import msgspec

from mlops_assets.training.machine import Place
from mlops_assets.training.networks.checkpoints import Checkpoints, fingerprint
from mlops_assets.training.networks.descent import Course, Descent, descend
from mlops_assets.training.networks.distributed import descend_together
from mlops_assets.training.networks.forms import Examples, Tensors
from mlops_assets.training.networks.kinds import form_of


def descended(
    course: Course, start: Tensors, rows: Examples, validation: Examples, place: Place, folder: Path | None
) -> tuple[Course, Descent]:
    """Return the descent and its course, which has half the batch if the memory did not suffice for a whole one.

    A training of the same course on the same rows that was killed goes on from what it left in `folder`.

    Raises:
        ValueError: If the memory does not suffice for half the batch, or the loss is not finite after the first epoch.
    """
    import torch

    whole = int(course.params["batch"])
    half = max(whole // 2, 1)
    problem = ""
    for batch in (whole, half):
        tried = msgspec.structs.replace(course, params={**course.params, "batch": batch})
        try:
            return tried, _descended(tried, start, rows, validation, place, folder)
        except torch.OutOfMemoryError as error:
            problem = str(error)
        torch.cuda.empty_cache()
    right = f"a smaller one (`params: {{batch: {max(half // 2, 1)}}}`), a smaller network or more memory"
    raise ValueError(
        f"out of memory on {place.device} with a batch of {whole}, then of {half}; right is {right}; {problem}"
    )


def _descended(
    course: Course, start: Tensors, rows: Examples, validation: Examples, place: Place, folder: Path | None
) -> Descent:
    path = folder / f"{_name(course, start, rows, validation, place)}.checkpoint" if folder else None
    if place.processes > 1:
        return descend_together(course, start, rows, validation, place, path)
    checkpoints = Checkpoints(path) if path else None
    form = form_of(course.architecture)
    return descend(course, form, start, rows, validation, device=place.device, checkpoints=checkpoints)


def _name(course: Course, start: Tensors, rows: Examples, validation: Examples, place: Place) -> str:
    """Return what a training with the same end has too, and no other."""
    words = json.dumps([msgspec.to_builtins(course), place.device, place.processes], sort_keys=True)
    arrays = [array for part in (rows, validation) for array in (part.dense, part.codes, part.labels)]
    return fingerprint(words.encode(), *arrays, *(start[name] for name in sorted(start)))
