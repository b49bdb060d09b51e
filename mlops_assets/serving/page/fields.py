"""A model's input schema -> the fields of a form, each with what is right for it and a value that is usual."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence, File
from mlops_assets.product import ModelProduct
from mlops_assets.serving.requests.inputs import right
from mlops_assets.serving.routing.deploy import Deployment
from mlops_assets.serving.routing.router import Table
from mlops_assets.training.bins import Bins
from mlops_assets.training.model import ColumnSpec, ModelSpec

_DIGITS = 4

Role = Literal["input", "segment", "key"]
Usual = str | float | int | None


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One request field. `choices` are all values it may have; `right` says in words what is taken."""

    name: str
    type: str
    right: str
    role: Role = "input"
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    choices: list[str] | None = None
    usual: Usual = None


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of each segment that is served, and the deployment that they are of."""

    deployment: str | None
    segments: dict[str, list[Field]]


class _Seen(msgspec.Struct):
    """What is read of a model's reference."""

    bins: Bins


def form(product: ModelProduct, table: Table, usual: Mapping[str, Mapping[str, Usual]]) -> Form:
    """Return the form of what is served; `usual` values are by segment and column."""
    fields = {
        segment: [*_beside(product, segment, by.model.spec), *_inputs(by.model.spec, usual.get(segment, {}))]
        for segment, by in table.answerers.items()
    }
    return Form(deployment=table.deployment, segments=fields)


def usual_values(archive: Archive, deployment: Deployment | None) -> dict[str, dict[str, Usual]]:
    """Return the mean, or the first level, of each column that a champion learned from, by segment.

    What is not known is left out; without the store that is all.
    """
    routes = deployment.routes if deployment else {}
    return {segment: _learned(archive, route.record) for segment, route in routes.items()}


def _learned(archive: Archive, record: str) -> dict[str, Usual]:
    try:
        file: File = archive.held(record).file("reference")
        bins = msgspec.json.decode(archive.store.get_bytes(file), type=_Seen).bins
    except (OSError, BrokenEvidence, LookupError, msgspec.MsgspecError):
        return {}
    means: dict[str, Usual] = {each.column: each.mean for each in bins.numeric}
    return means | {each.column: each.levels[0] for each in bins.text if each.levels}


def _inputs(spec: ModelSpec, usual: Mapping[str, Usual]) -> list[Field]:
    return [
        Field(
            name=name,
            type=column.type,
            right=right(column),
            nullable=column.nullable,
            min=column.min,
            max=column.max,
            choices=column.isin or spec.categories.get(name),
            usual=fitting(column, usual.get(name)),
        )
        for name, column in spec.inputs.items()
    ]


def _beside(product: ModelProduct, segment: str, spec: ModelSpec) -> list[Field]:
    """Return the fields that are no inputs of the model: who answers, and by which key an outcome will find the row."""
    found: list[Field] = []
    source = product.source
    if source.segment is not None and source.segment not in spec.inputs:
        said = "chosen above: it says which model answers"
        found.append(Field(name=source.segment, type="str", right=said, role="segment", usual=segment))
    if source.key is not None and source.key not in spec.inputs:
        said = "may be left out; with it, an outcome in the source finds this prediction"
        found.append(Field(name=source.key, type="str", right=said, role="key", nullable=True))
    return found


def fitting(column: ColumnSpec, usual: Usual) -> Usual:
    """Return a value that the column may hold, near the usual one; None if none is near."""
    if column.type in ("int", "float") and isinstance(usual, int | float):
        within = max(usual, column.min if column.min is not None else usual)
        within = min(within, column.max if column.max is not None else within)
        return round(within) if column.type == "int" else float(f"{within:.{_DIGITS}g}")
    if column.type == "str" and isinstance(usual, str) and (not column.isin or usual in column.isin):
        return usual
    return None
