"""What the Open Inference Protocol asks an endpoint to say of itself: server, model, and which versions answer."""

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.requests.oip import DATATYPES
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.lanes import Answerer
from mlops_assets.serving.routing.router import Table


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


class ModelReady(msgspec.Struct, frozen=True):
    """Whether a version answers."""

    name: str
    ready: bool


def server(product: ModelProduct, table: Table) -> Server:
    """Return the metadata of the endpoint; a segment without a champion has version null."""
    versions = {segment: str(by.version) for segment, by in table.answerers.items()}
    segments = {segment: versions.get(segment) for segment in table.segments}
    return Server(f"mlops_assets {product.name}", "2", ["binary_tensor_data"], table.deployment, segments)


def model(product: ModelProduct, table: Table, version: str | None = None) -> ModelMetadata:
    """Return the model's columns, as those of the first segment served; before a champion there are none.

    Raises:
        Refused: 404 if a version is named that is no segment's champion.
    """
    champions = list(table.answerers.values())
    shown = champions if version is None else serving(table, version)
    columns = {name: DATATYPES[column.type] for by in shown[:1] for name, column in by.model.spec.inputs.items()}
    for extra in (product.source.segment, product.source.key):
        if extra is not None and shown:
            columns.setdefault(extra, "BYTES")
    return ModelMetadata(
        name=product.name,
        versions=sorted({str(by.version) for by in champions}, key=int),
        platform=shown[0].model.spec.kind if shown else "",
        inputs=[TensorMetadata(name, datatype, [-1]) for name, datatype in columns.items()],
        outputs=_outputs(product, shown),
    )


def serving(table: Table, version: str) -> list[Answerer]:
    """Return the champions of this version.

    Raises:
        Refused: 404 if there is none, naming those that there are.
    """
    found = [by for by in table.answerers.values() if str(by.version) == version]
    if not found:
        known = ", ".join(sorted({str(by.version) for by in table.answerers.values()}, key=int)) or "none yet"
        raise Refused(404, f"no version {version[:60]!r} answers; those that do: {known}")
    return found


def _outputs(product: ModelProduct, shown: list[Answerer]) -> list[TensorMetadata]:
    """Return what is answered: the decision only where every model has a threshold for it."""
    if product.label.kind == "multiclass":
        classes = {len(by.model.spec.classes) for by in shown}
        width = classes.pop() if len(classes) == 1 else -1
        return [TensorMetadata("output", "BYTES", [-1]), TensorMetadata("probabilities", "FP64", [-1, width])]
    decided = bool(shown) and all(by.model.spec.threshold is not None for by in shown)
    decision = [TensorMetadata("decision", "BOOL", [-1])] if decided else []
    return [TensorMetadata("output", "FP64", [-1]), *decision]
