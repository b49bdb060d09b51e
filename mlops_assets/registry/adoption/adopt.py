"""A model file made elsewhere and the declaration -> a model's record: without inputs, of unknown origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Built
from mlops_assets.evidence.records import Json, Recipe, canonical, digest
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.intake.ingest import columns_of
from mlops_assets.parts import Column
from mlops_assets.product import Stage
from mlops_assets.registry.adoption.adopted import ORIGIN, UNKNOWN
from mlops_assets.registry.adoption.model_file import ModelFile, gains
from mlops_assets.training.bins import Bins
from mlops_assets.training.built import rows_per_window
from mlops_assets.training.model import ColumnSpec, ModelSpec, encode_spec, is_text, to_matrix
from mlops_assets.training.reference import Reference, logged_scores, reference
from mlops_assets.training.trainers import load_predictor

KEYS = ("_key", "_time", "_label")


@dataclass(frozen=True, kw_only=True, eq=False)
class Declared:
    """What requests and features of a product are: as its newest features have them, else as its columns do."""

    features: list[str]
    texts: list[str]
    inputs: Mapping[str, ColumnSpec]
    classes: list[str]
    records: Sequence[str]
    rows: pl.DataFrame | None


def prepared_adoption(step: Step, file: ModelFile, partition: str) -> Prepared:
    """Return recipe and work of an adopted model's record; what its reference is made from is state, and no input.

    Raises:
        ValueError: If the file does not fit the declaration; it says what was found and what is right.
        NotReady: If the source was never read, or a features function has made no features yet.
    """
    product = step.product
    known = _declared(step, parse(partition)[0])
    spec = _spec(step, file, known)
    scores = _scored(file, spec, known.rows)
    recipe = Recipe(
        place=step.place(partition, Stage.MODEL),
        params={"adopted": file.sha256, "label": product.label.kind, "spec": msgspec.to_builtins(spec)},
        state={"reference": digest(canonical(list(known.records)))},
        seed=product.seed,
        code="",
    )
    grid = product.grid if product.windows else None
    stored = Reference(
        bins=Bins(numeric=[], text=[]), windows=[], kind="resampled", rows=0, scored=0, rows_per_window=50
    )
    if known.rows is not None:
        stored = reference(
            known.rows,
            at="_time" if grid else None,
            rows_per_window=rows_per_window(grid, known.rows),
            seed=product.seed,
            held_out=pl.Series(logged_scores(scores), dtype=pl.Float64),
            grid=grid,
        )
    return Prepared(recipe=recipe, inputs=[], build=lambda: _built(file, spec, stored, known))


def _built(file: ModelFile, spec: ModelSpec, stored: Reference, known: Declared) -> Built:
    facts: dict[str, Json] = {
        ORIGIN: UNKNOWN,
        "file": file.name,
        "sha256": file.sha256,
        "reference_rows_of": list(known.records),
        "importance": {name: round(share, 4) for name, share in spec.importance.items()},
        "windows_used": 0,
        "trainer_params": {},
    }
    return Built(
        outputs={
            "model": (file.data, file.suffix),
            "spec": (encode_spec(spec), "json"),
            "reference": (msgspec.json.encode(stored), "json"),
        },
        facts=facts,
    )


def _declared(step: Step, segment: str) -> Declared:
    product, archive = step.product, step.archive
    heads = archive.heads(product.name, Stage.FEATURES)
    held = [archive.held(heads[key]) for key in sorted(heads) if parse(key)[0] == segment]
    usable = [each for each in held if each.record.outputs[0].rows and not each.record.failed]
    newest = usable[-product.trainer.windows :]
    columns = columns_of(archive, product)[1]
    classes = _in_order(columns[product.label.column].isin or ())
    if newest:
        rows = pl.concat([archive.table(each, "features") for each in newest])
        made = rows.drop(KEYS)
        inputs = msgspec.convert(newest[-1].record.facts["inputs"], dict[str, ColumnSpec])
        texts = [name for name, dtype in made.schema.items() if is_text(dtype)]
        records = [each.id for each in newest]
        return Declared(features=made.columns, texts=texts, inputs=inputs, classes=classes, records=records, rows=rows)
    if isinstance(product.features, str):
        raise NotReady(f"{product.name}: its features are a function's, and none were made yet; make them first")
    names = list(product.features)
    return Declared(
        features=names,
        texts=[name for name in names if columns[name].type == "str"],
        inputs={name: _request(columns[name]) for name in names},
        classes=classes,
        records=(),
        rows=None,
    )


def _request(column: Column) -> ColumnSpec:
    return msgspec.convert(column.model_dump(mode="json"), ColumnSpec)


def _in_order(classes: Sequence[str]) -> list[str]:
    """Return classes as scikit-learn's encoder has them: numbers by their value, text by the alphabet."""
    try:
        return sorted(classes, key=float)
    except ValueError:
        return sorted(classes)


def _spec(step: Step, file: ModelFile, known: Declared) -> ModelSpec:
    """Return the spec of the model, whose features, levels and classes have to be those of the declaration."""
    product, trees, own = step.product, file.trees, file.spec
    task = own.task if own else trees.task if trees else ""
    if task != product.label.kind:
        raise ValueError(f"{file.name} is a {task} model; the declared label is {product.label.kind}")
    _check_features(file, known)
    classes, categories = _classes(step, file, known), own.categories if own else _levels(file, known)
    return ModelSpec(
        kind="lightgbm" if trees else own.kind if own else "",
        task=product.label.kind,
        classes=classes,
        inputs=dict(known.inputs),
        features=known.features,
        categories=categories,
        transform=product.features if isinstance(product.features, str) else None,
        importance=own.importance if own else _importance(known.features, gains(file)),
        architecture=own.architecture if own else {},
        threshold=product.decide.threshold if product.decide else None,
    )


def _check_features(file: ModelFile, known: Declared) -> None:
    trees, own = file.trees, file.spec
    features = own.features if own else trees.features if trees else []
    if trees and not own and not trees.named:
        raise ValueError(
            f"{file.name}: its features have no names ({features[0]}, …), so nobody can say whether their order is "
            "right; right is a model fitted on a DataFrame, or with feature_name=[...]"
        )
    wanted = known.features if own else [name.replace(" ", "_") for name in known.features]  # as LightGBM keeps them
    if features != wanted or (trees and len(trees.features) != len(features)):
        found, right = ", ".join(features), ", ".join(known.features)
        raise ValueError(f"{file.name} learned from the features {found}, in this order; declared are {right}")


def _importance(features: list[str], worth: list[float]) -> dict[str, float]:
    total = sum(worth)
    return {name: each / total if total else 1 / len(worth) for name, each in zip(features, worth, strict=True)}


def _classes(step: Step, file: ModelFile, known: Declared) -> list[str]:
    """Return the classes in the order of the model's scores, all of which have to be declared, or in the source."""
    label, own, trees = step.product.label, file.spec, file.trees
    if label.kind == "regression":
        return []
    count = 2 if label.kind == "binary" else trees.scores if trees else len(own.classes) if own else 0
    if len(known.classes) != count or (own and set(own.classes) != set(known.classes)):
        raise ValueError(
            f"{file.name} knows {', '.join(own.classes) if own else f'{count} classes'}; {label.column!r} has "
            f"{', '.join(known.classes) or 'none'}: where the source lacks one, right is `columns: "
            f"{{{label.column}: {{type: str, isin: [...]}}}}`"
        )
    return own.classes if own else known.classes


def _levels(file: ModelFile, known: Declared) -> dict[str, list[str]]:
    """Return the levels of each text feature: those that pandas had, in the order of the columns."""
    levels = file.trees.levels if file.trees else []
    if len(levels) != len(known.texts):
        texts = ", ".join(known.texts) or "none"
        raise ValueError(
            f"{file.name} has levels of {len(levels)} categorical columns; features of text are: {texts}. Right is a "
            "model fitted on a pandas DataFrame in which these, and no others, are of dtype category"
        )
    return dict(zip(known.texts, levels, strict=True))


def _scored(file: ModelFile, spec: ModelSpec, rows: pl.DataFrame | None) -> np.ndarray:
    """Return what the model says of the newest rows, or of an empty request: it has to answer at all."""
    empty = np.full((1, len(spec.features)), np.nan)
    try:
        scores = load_predictor(spec, file.data)(empty if rows is None else to_matrix(rows, spec))
    except (LookupError, ValueError, TypeError) as problem:
        raise ValueError(f"{file.name} cannot answer: {problem}") from problem
    if rows is not None and not np.isfinite(scores).all():
        raise ValueError(
            f"{file.name} answers the newest rows with {scores[~np.isfinite(scores)][0]}; right are numbers"
        )
    return scores
