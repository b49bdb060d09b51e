"""A declaration -> whether the source, columns and functions that it names are there."""

from pathlib import Path

from mlops_assets.intake.functions import did_you_mean, function_named
from mlops_assets.intake.sources import SourceError, read_header
from mlops_assets.product import ModelProduct


def check_source(product: ModelProduct, root: Path, *, files: Path | None = None, call: bool = True) -> None:
    """Check, without reading rows, that the declared source, columns and functions are there.

    `call` says whether a function is called to learn its columns; else it only has to exist.

    Raises:
        SourceError: At the first that is not; it names the field, what was found and what is known.
    """
    source = product.source
    try:
        if source.function is not None and not call:
            function_named(source.function)
            header = None
        else:
            header = read_header(source, root, files=files)
    except (SourceError, LookupError) as problem:
        field = "source.function" if source.function else "source.path"
        raise SourceError(f"{field}: {problem.args[0]}") from problem
    check_declared(product, header)


def check_declared(product: ModelProduct, header: list[str] | None) -> None:
    """Check that every column which the declaration names is in `header`, if it is known, and that its function exists.

    Raises:
        SourceError: At the first that is not, naming the nearest and all known ones.
    """
    source, features = product.source, product.features
    named = {
        "source.time": source.time,
        "source.key": source.key,
        "source.segment": source.segment,
        "source.subject": source.subject,
        "source.image.column": source.image and source.image.column,
        "source.image.sha256": source.image and source.image.sha256,
        "label.column": product.label.column,
        "label.annotator": product.label.annotator,
        "endpoint.sticky": product.endpoint.sticky,
        **{f"endpoint.personal.{name}": name for name in product.endpoint.personal},
        **{f"columns.{name}": name for name in product.columns},
        **({} if isinstance(features, str) else _columns(product, features)),
    }
    for field, name in named.items():
        if header is not None and name is not None and name not in header:
            near = did_you_mean(name, header)
            raise SourceError(f"{field}: no column {name!r}{near}; columns: {', '.join(header)}")
    if isinstance(features, str):
        try:
            function_named(features)
        except LookupError as problem:
            raise SourceError(f"features: {problem.args[0]}") from problem


def _columns(product: ModelProduct, features: tuple[str, ...]) -> dict[str, str]:
    """Return the columns that a product reads which has no function of features; such a function may make others."""
    slices = product.gate.slices.columns if product.gate.slices else ()
    named = {"features": features, "gate.slices.columns": slices}
    return {f"{field}.{at}": name for field, names in named.items() for at, name in enumerate(names)}
