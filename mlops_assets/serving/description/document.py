"""What answers at an endpoint -> its OpenAPI 3.1 document: every path, with schemas, examples, what goes wrong."""

from collections.abc import Mapping
from types import MappingProxyType

from mlops_assets.evidence.records import Json
from mlops_assets.product import ModelProduct
from mlops_assets.serving.answering.ways import Way
from mlops_assets.serving.description.schemas import Schema, example_row, fixed_schemas, ref, row_schemas, rows_schema
from mlops_assets.serving.log.outcomes import MAX_OUTCOMES
from mlops_assets.serving.page.fields import Usual
from mlops_assets.serving.requests.tensors import REASONS
from mlops_assets.serving.routing.router import Table

_ID = {"type": "string", "description": "UUIDv7 of the request; row i of a batch is `<id>.<i>`."}
_ERRORS = {
    "400": "No JSON, no CSV, or a header or query parameter that is not known.",
    "404": "No such path, or a version that does not answer.",
    "413": "Too many bytes or rows.",
    "415": "A Content-Type that is not read here, or a compressed body.",
    "422": "A field, tensor, segment or form that does not fit; `problems` names each.",
    "429": "Too many requests at once; `Retry-After` says when to come again.",
    "503": "No champion yet, or the answer could not be logged, and so is not given.",
}
_DENIED = {"401": "No key, or one that is not known.", "403": "A key that may not do this."}
_SECURITY: list[Json] = [{}, {"bearer": []}, {"key": []}]  # nobody asks for a key on loopback
_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}
_EXPLAIN: Schema = {
    "name": "explain",
    "in": "query",
    "description": "Whether the answer says what each feature adds to the score; at most 100 rows at once.",
    "schema": {"type": "boolean", "default": False},
}


def document(
    product: ModelProduct,
    table: Table,
    ways: Mapping[str, Way],
    usual: Mapping[str, Mapping[str, Usual]] = MappingProxyType({}),
) -> Schema:
    """Return the document of an endpoint that serves `table`, for everything that answers at `ways`.

    Its examples have `usual` values, by segment and column, where they are known.
    """
    segment = product.source.segment
    row = example_row(table, segment, usual)
    versions = sorted({str(by.version) for by in table.answerers.values()}, key=int)
    known = {
        "infer": _infer(row),
        "invocations": _invocations(row),
        "outcomes": _outcomes(),
        "metadata": {"summary": "What this endpoint serves, as the Open Inference Protocol says it."},
        "health": {"summary": "Whether it is alive, or ready for requests."},
    }
    paths: Schema = {}
    for path, way in ways.items():
        shown, parameters = _templated(path, versions)
        operation: Schema = {"summary": way.name, **known.get(way.name, {}), "operationId": _operation(way, path)}
        operation["parameters"] = [*parameters, *([_EXPLAIN] if way.name in ("infer", "invocations") else [])]
        operation["responses"] = {**_success(way.name), **_failures(way)}
        if way.method == "POST" and "requestBody" not in operation:
            operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
        if way.act is not None:
            operation["security"] = _SECURITY
        paths[shown] = {way.method.lower(): operation}
    schemas: Schema = {**fixed_schemas(), **row_schemas(table, segment, product.fallback)}
    schemas["Rows"] = rows_schema(product.endpoint.limits.rows)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": product.name,
            "version": ",".join(versions) or "0",
            "description": product.description or f"Predicts {product.label.column}.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SCHEMES},
    }


def _infer(row: Schema | None) -> Schema:
    tensors: Schema | None = None
    if row is not None:
        inputs: list[Json] = [
            {"name": name, "shape": [1], "datatype": _datatype(value), "data": [value]} for name, value in row.items()
        ]
        tensors = {"id": "mine", "inputs": inputs, "outputs": [{"name": "output"}]}
    examples: Schema = (
        {}
        if row is None
        else {
            "row": {"value": row},
            "rows": {"value": {"rows": [row, row]}},
            "tensors": {"value": tensors},
        }
    )
    forms: list[Json] = [ref("Row"), ref("Rows"), ref("OipRequest")]
    csv: Schema = {"schema": {"type": "string"}}
    return {
        "summary": "Predicts: a plain row, rows, a CSV, or tensors of the Open Inference Protocol.",
        "description": f"With explain=true tensors are answered with {', '.join(REASONS)} too.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"anyOf": forms}, "examples": examples}, "text/csv": csv},
        },
    }


def _invocations(row: Schema | None) -> Schema:
    examples: Schema = (
        {}
        if row is None
        else {
            "dataframe_split": {"value": {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}},
            "dataframe_records": {"value": {"dataframe_records": [row]}},
            "instances": {"value": {"instances": [row]}},
            "inputs": {"value": {"inputs": {name: [value] for name, value in row.items()}}},
        }
    )
    return {
        "summary": "Predicts, in the formats of `mlflow models serve`.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("Invocation"), "examples": examples},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
    }


def _outcomes() -> Schema:
    outcome: Schema = {
        "type": "object",
        "properties": {"inference_id": {"type": "string"}, "label": {}},
        "required": ["inference_id", "label"],
        "additionalProperties": False,
    }
    outcomes: Schema = {"type": "array", "items": outcome, "description": f"At most {MAX_OUTCOMES}; more are a 413."}
    body: Schema = {
        "type": "object",
        "properties": {"outcomes": outcomes},
        "required": ["outcomes"],
        "additionalProperties": False,
    }
    return {
        "summary": "Takes labels that come late, by inference id.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }


def _success(name: str) -> Schema:
    """Return what a request that succeeds gets."""
    if name == "infer":
        schemas: list[Json] = [ref("RowAnswer"), ref("RowsAnswer"), ref("OipAnswer")]
        content: Schema = {
            "application/json": {"schema": {"anyOf": schemas}},
            "application/octet-stream": {"schema": {"type": "string", "contentEncoding": "binary"}},
        }
    elif name == "invocations":
        content = {"application/json": {"schema": ref("InvocationAnswer")}}
    else:
        return {"200": {"description": "Done."}}
    headers: Schema = {
        "mlops-inference-id": {"schema": _ID},
        "mlops-model-version": {"schema": {"type": "string"}},
    }
    return {"200": {"description": "Answered, and logged by then.", "headers": headers, "content": content}}


def _failures(way: Way) -> Schema:
    said = _ERRORS if way.name in ("infer", "invocations", "outcomes") else {"404": _ERRORS["404"]}
    said = {**said, **(_DENIED if way.act is not None else {})}
    content: Schema = {"application/json": {"schema": ref("Failure")}}
    found: Schema = {status: {"description": text, "content": content} for status, text in sorted(said.items())}
    if way.name == "health":
        found["503"] = {"description": "Not ready."}
    if way.method == "GET":  # a page for people says on a page what went wrong
        content["text/html"] = {}
    return {**found, "default": {"description": "Anything else that went wrong.", "content": content}}


def _templated(path: str, versions: list[str]) -> tuple[str, list[Json]]:
    """Return a path with a named part in the place of `*`, and what may stand there; a version is one that answers."""
    if "*" not in path:
        return path, []
    name = "version" if "/versions/" in path else "name"
    known: Schema = {"enum": list[Json](versions)} if name == "version" and versions else {}
    part: Schema = {"name": name, "in": "path", "required": True, "schema": {"type": "string", **known}}
    return path.replace("*", f"{{{name}}}"), [part]


def _operation(way: Way, path: str) -> str:
    parts = path.replace("*", "one").replace(".", "/").split("/")
    return "_".join([way.method.lower(), *filter(None, parts)])


def _datatype(value: Json) -> str:
    if isinstance(value, bool):
        return "BOOL"
    return "INT64" if isinstance(value, int) else "FP64" if isinstance(value, float) else "BYTES"
