"""A model's spec -> rows over what its columns may hold, to compare two ways of scoring on."""

from datetime import UTC, datetime

import numpy as np

from mlops_assets.intake.images import png
from mlops_assets.training.model import ColumnSpec, ModelSpec
from mlops_assets.training.predictor import Values

_PROBES = 32
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def probes(spec: ModelSpec) -> list[Values]:
    """Return rows over the whole of what each column may hold, nulls too, to compare two ways of scoring on.

    None where a features function reads free text: what it makes of an invented one says nothing about real ones.
    """
    levels = {name: column.isin or spec.categories.get(name) for name, column in spec.inputs.items()}
    if spec.transform and any(column.type == "str" and not levels[name] for name, column in spec.inputs.items()):
        return []
    return [
        tuple(_probe(column, levels[name], at + 7 * place) for place, (name, column) in enumerate(spec.inputs.items()))
        for at in range(_PROBES)
    ]


def _probe(column: ColumnSpec, levels: list[str] | None, at: int) -> object:
    if column.nullable and at % 5 == 0:
        return None
    if column.type == "image":
        return png(np.random.default_rng(at).integers(0, 256, column.shape, np.uint8))
    if column.type == "str":
        return levels[at % len(levels)] if levels else f"probe {at}"
    if column.type == "bool":
        return at % 2 == 0
    if column.type == "datetime":
        return _MOMENT.replace(hour=at % 24)
    low = -100.0 if column.min is None else column.min
    high = low + 1000.0 if column.max is None else column.max
    value = low + (high - low) * (at % 11) / 10
    return int(value) if column.type == "int" else value
