"""What the endpoint says of itself: the protocol's metadata, and one page for people."""

import html

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.requests.oip import DATATYPES
from mlops_assets.serving.routing.router import Table

_PAGE = """<!doctype html><meta charset="utf-8"><title>{name}</title>
<body style="font: 16px/1.5 system-ui; max-width: 40em; margin: 3em auto">
<h1>{name}</h1><p>{description}</p>
<table cellpadding="4"><tr><th align="left">segment<th align="left">version</tr>{rows}</table>
<p>deployment {deployment}</p><p><a href="/metrics">metrics</a> · <a href="/v2/models/{name}">inputs and outputs</a></p>
"""


class Server(msgspec.Struct, frozen=True):
    """The protocol's server metadata, and which deployment answers."""

    name: str
    version: str
    extensions: list[str]
    deployment: str | None
    segments: dict[str, str | None]


class TensorMetadata(msgspec.Struct, frozen=True):
    """A column of a request or of an answer."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True):
    """The protocol's model metadata."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def server(product: ModelProduct, table: Table) -> Server:
    """Return the metadata of the endpoint; a segment without a champion has version null."""
    versions = {segment: str(by.version) for segment, by in table.answerers.items()}
    segments = {segment: versions.get(segment) for segment in table.segments}
    return Server(f"mlops_assets {product.name}", "2", ["binary_tensor_data"], table.deployment, segments)


def model(product: ModelProduct, table: Table) -> ModelMetadata:
    """Return the model's columns, as those of the first segment served; before a champion there are none."""
    first = next(iter(table.answerers.values()), None)
    columns = (
        {} if first is None else {name: DATATYPES[column.type] for name, column in first.model.spec.inputs.items()}
    )
    for extra in (product.source.segment, product.source.key):
        if extra is not None and first is not None:
            columns.setdefault(extra, "BYTES")
    output = "BYTES" if product.label.kind == "multiclass" else "FP64"
    return ModelMetadata(
        name=product.name,
        versions=sorted({str(by.version) for by in table.answerers.values()}),
        platform=first.model.spec.kind if first else "",
        inputs=[TensorMetadata(name, datatype, [-1]) for name, datatype in columns.items()],
        outputs=[TensorMetadata("output", output, [-1]), *_decision(table)],
    )


def _decision(table: Table) -> list[TensorMetadata]:
    """Return the column that says whether a row is acted on, where every model served has a threshold."""
    thresholds = [by.model.spec.threshold for by in table.answerers.values()]
    return [TensorMetadata("decision", "BOOL", [-1])] if thresholds and None not in thresholds else []


def home(product: ModelProduct, table: Table) -> bytes:
    """Return a small page: versions by segment, and where to look further."""
    versions = {segment: str(by.version) for segment, by in table.answerers.items()}
    rows = "".join(
        f"<tr><td>{segment}<td>{versions.get(segment, 'no champion yet')}</tr>" for segment in table.segments
    )
    return _PAGE.format(
        name=product.name,
        description=html.escape(product.description or ""),
        rows=rows,
        deployment=html.escape(table.deployment or "none yet"),
    ).encode()
