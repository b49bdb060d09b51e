"""The types that requests are decoded with, and answers encoded with -> the schemas of the OpenAPI document.

Nothing is written down twice: a row's schema is made of the very type that its decoder was made of.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import cast

import msgspec

from mlops_assets.evidence.records import Json
from mlops_assets.serving.description.metadata import ModelMetadata, ModelReady, Server
from mlops_assets.serving.page.fields import Usual, fitting
from mlops_assets.serving.requests.answers import InvocationAnswer, OipAnswer, RowAnswer, RowsAnswer
from mlops_assets.serving.requests.forms import MAX_ROWS
from mlops_assets.serving.requests.http import Failure
from mlops_assets.serving.requests.invocations import Invocation
from mlops_assets.serving.requests.oip import OipRequest
from mlops_assets.serving.routing.lanes import Answerer
from mlops_assets.serving.routing.probes import probes
from mlops_assets.serving.routing.router import Table

Schema = dict[str, Json]

_REF = "#/components/schemas/{name}"
_TYPES = (
    *(Server, ModelMetadata, ModelReady, OipRequest, OipAnswer, RowAnswer, RowsAnswer),
    *(Invocation, InvocationAnswer, Failure),
)


def ref(name: str) -> Schema:
    """Return a reference to the schema called `name`."""
    return {"$ref": _REF.format(name=name)}


@cache
def fixed_schemas() -> Mapping[str, Schema]:
    """Return the schemas that are the same for every product."""
    schemas = _components(_TYPES)
    request = schemas["OipRequest"]
    properties = cast("dict[str, Schema]", request["properties"])
    properties["inputs"]["minItems"] = 1
    formats: list[Json] = ["dataframe_split", "dataframe_records", "instances", "inputs"]
    given = cast("dict[str, Schema]", schemas["Invocation"]["properties"])
    given["dataframe_records"]["minItems"] = 1
    given["params"] = {"type": ["object", "null"], "maxProperties": 0}
    schemas["Invocation"]["oneOf"] = [{"required": [name]} for name in formats]
    return {**schemas, "OipRequest": {**request, "properties": dict[str, Json](properties)}}


def row_schemas(table: Table, segment: str | None, fallback: str | None) -> Mapping[str, Schema]:
    """Return `Row`: what one row may hold, by model where the segments' models differ."""
    rows = {by.segment: _row(by, segment) for by in table.answerers.values()}
    distinct: list[Schema] = []
    for each, row in rows.items():
        like = next((known for known in distinct if _without(known, segment) == _without(row, segment)), None)
        if like is None:
            distinct.append(row)
            like = row
        if segment is not None and fallback is None:
            _allow(like, segment, each)
    return {"Row": distinct[0] if len(distinct) == 1 else {"anyOf": list[Json](distinct) or [{"type": "object"}]}}


def rows_schema(most: int) -> Schema:
    """Return the schema of several rows at once."""
    said = f"At most {min(most, MAX_ROWS)}; more are a 413."
    rows: Schema = {"type": "array", "items": ref("Row"), "minItems": 1, "description": said}
    return {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}


def example_row(
    table: Table, segment: str | None, usual: Mapping[str, Mapping[str, Usual]] = MappingProxyType({})
) -> Schema | None:
    """Return a row as JSON that the first model takes, of `usual` values where known; None where it reads free text."""
    for by in table.answerers.values():
        if rows := probes(by.model.spec):
            fields = dict(zip(by.model.spec.inputs, rows[1], strict=True))
            known = usual.get(by.segment, {})
            fitted = {name: fitting(column, known.get(name)) for name, column in by.model.spec.inputs.items()}
            fields |= {name: value for name, value in fitted.items() if value is not None}
            named = fields if segment is None else {segment: by.segment} | fields
            return msgspec.convert(msgspec.to_builtins(named), Schema)
    return None


def _row(by: Answerer, segment: str | None) -> Schema:
    row = _components([by.model.decoder.row])["Row"]
    for limits in _numbers(row["properties"]):
        for bound in ("minimum", "maximum"):  # those of the type itself say nothing
            if abs(float(str(limits.get(bound, 0)))) >= sys.float_info.max:
                del limits[bound]
    return {**row, "title": "A row of the model's inputs"}


def _components(types: Iterable[object]) -> dict[str, Schema]:
    _, found = msgspec.json.schema_components(types, schema_hook=_anything, ref_template=_REF)
    return cast("dict[str, Schema]", found)


def _numbers(value: Json) -> Iterator[Schema]:
    if isinstance(value, dict):
        if value.get("type") == "number":
            yield value
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)


def _without(row: Schema, name: str | None) -> Schema:
    properties = row["properties"]
    assert isinstance(properties, dict)
    return {**row, "properties": {key: value for key, value in properties.items() if key != name}}


def _allow(row: Schema, segment: str, value: str) -> None:
    properties = row["properties"]
    assert isinstance(properties, dict)
    known = properties[segment]
    assert isinstance(known, dict)
    if "enum" not in known:
        properties[segment] = known = {"enum": list[Json]()}
    known["enum"] = [*msgspec.convert(known["enum"], list[Json]), value]


def _anything(type_: type) -> dict[str, object]:
    """Return the schema of a value of any type."""
    return {"description": "Any value."}
