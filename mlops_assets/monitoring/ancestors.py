"""A drifted window's ancestors in evidence: rows of its time, and the rows that its model was trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import parse
from mlops_assets.features.transform import Transform
from mlops_assets.intake.functions import BROKEN_CODE
from mlops_assets.intake.ingest import SOURCE, part
from mlops_assets.monitoring.beside import predictions_of, speaking
from mlops_assets.monitoring.same_test import Window
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.sealed import FEATURE, INPUT
from mlops_assets.training.model import ModelSpec, decode_spec
from mlops_assets.training.reference import FEWEST, Reference, reference

SKIPPED = 7  # windows without rows that may lie between those that gathered evidence
PROBED = 128  # rows of live and as many of training on which it is tried what a feature is made of


class CodeFails(Exception):
    """A features function cannot make features of rows that it is given here."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """The rows of one monitoring window that speak for the judged version, and the record that holds them."""

    key: str
    held: Held
    rows: pl.DataFrame

    @property
    def requests(self) -> pl.DataFrame:
        """The raw inputs, by their own names."""
        return self._named(INPUT)

    @property
    def features(self) -> pl.DataFrame:
        """The features as the endpoint logged them, by their own names."""
        return self._named(FEATURE)

    def _named(self, prefix: str) -> pl.DataFrame:
        names = [name for name in self.rows.columns if name.startswith(prefix)]
        return self.rows.select(pl.col(name).alias(name.removeprefix(prefix)) for name in names)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The records behind the windows that a model used, oldest first: features, datasets, and the source's rows."""

    features: list[Held]
    datasets: list[Held]
    sources: list[Held]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A verdict of drift, what was served in the windows behind it, oldest first, and the judged model."""

    product: ModelProduct
    archive: Archive
    segment: str
    verdict: Verdict
    served: list[Served]
    model: Held
    spec: ModelSpec
    known: Reference
    trained: Trained

    def reference(self, rows: pl.DataFrame, columns: Sequence[str]) -> Reference:
        """Return the reference of an ancestor's training rows, cut as the model's own reference is."""
        timed = ["_time"] if self.product.windows else []
        return reference(
            rows.select(*timed, *columns),
            at=timed[0] if timed else None,
            rows_per_window=self.known.rows_per_window,
            seed=self.model.record.seed,
            grid=self.product.grid if self.known.phases else None,
        )

    def window(self, served: Served, rows: pl.DataFrame) -> Window:
        """Return rows as an ancestor's of the time of `served`."""
        return Window(phase=self.product.grid.phase(served.key), rows=rows)

    def head(self, stage: Stage, served: Served) -> Held | None:
        """Return the current record of the data window that `served` lies in, of an earlier stage."""
        return self.archive.head(Place(product=self.product.name, stage=stage, partition=self.partition(served)))

    def partition(self, served: Served) -> str:
        """Return the partition of the data window that `served` lies in; there is one only with windows."""
        assert self.product.windows is not None
        return f"{self.segment}|{self.product.windows.key(self.product.grid.bounds(served.key)[0])}"


@dataclass(frozen=True, kw_only=True, eq=False)
class OfSource:
    """The source's rows for a window that was served, and the record that holds them."""

    served: Served
    held: Held
    rows: pl.DataFrame


def of_source(case: Case) -> Iterator[OfSource]:
    """Yield the source's rows of each window: under the keys that were asked about, if it holds half of these.

    Else they are those of the window's time.
    """
    for each in case.served if case.product.windows else ():
        held = part(case.archive, case.product, case.partition(each))
        if held is None:
            continue
        rows = case.archive.table(held, "rows")
        same = rows.join(each.rows.select(_key="key"), on="_key", how="semi", maintain_order="left")
        start, end = case.product.grid.bounds(each.key)
        timely = rows.filter((pl.col("_time") >= start) & (pl.col("_time") < end))
        yield OfSource(
            served=each, held=held, rows=same if same.height >= max(FEWEST, each.rows.height / 2) else timely
        )


def read_case(product: ModelProduct, archive: Archive, counted: Held, verdict: Verdict) -> Case:
    """Return the case of a verdict on the profile `counted`.

    Raises:
        BrokenEvidence: If a record or table behind it is missing or changed.
    """
    segment, window = parse(counted.record.place.partition)
    version, model = int(str(counted.record.facts["version"])), archive.held(counted.record.state["model"])
    served: list[Served] = []
    for key in reversed(product.grid.before(window, verdict.over + SKIPPED)):
        place = Place(product=product.name, stage=Stage.PREDICTIONS, partition=f"{segment}|{key}")
        held = archive.held(counted.record.inputs[0].record) if key == window else archive.head(place)
        personal = product.endpoint.personal
        rows = pl.DataFrame()
        if held:
            rows = speaking(archive, model, version, predictions_of(archive, held), personal=personal)
        if held and rows.height:
            served.insert(0, Served(key=key, held=held, rows=rows))
        if len(served) == verdict.over:
            break
    return Case(
        product=product,
        archive=archive,
        segment=segment,
        verdict=verdict,
        served=served,
        model=model,
        spec=decode_spec(archive.data(model, "spec")),
        known=msgspec.json.decode(archive.data(model, "reference"), type=Reference),
        trained=_trained(archive, model),
    )


def features_of(spec: ModelSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the features that the code of today makes of raw rows.

    Raises:
        CodeFails: If the function does not take them.
    """
    try:
        return Transform(spec.transform or spec.features).computed(rows)
    except (*BROKEN_CODE, pl.exceptions.PolarsError) as problem:
        raise CodeFails(f"{spec.transform} fails: {type(problem).__name__}: {problem}") from problem


def made_of(spec: ModelSpec, live: pl.DataFrame, trained: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the inputs of each feature: those that change it when their values are dealt to other rows.

    Raises:
        CodeFails: If the features function does not take such rows.
    """
    if spec.transform is None:
        return {name: (name,) for name in spec.features}
    inputs = list(spec.inputs)
    rows = pl.concat([each.select(inputs).head(PROBED) for each in (live, trained)], how="vertical_relaxed")
    features = features_of(spec, rows)
    dealt = np.random.default_rng(0).permutation(rows.height)
    others = {name: features_of(spec, rows.with_columns(rows[name][dealt])) for name in inputs}
    by_feature = {
        feature: tuple(name for name in inputs if not features[feature].equals(others[name][feature]))
        for feature in features.columns
    }
    return {feature: found or tuple(inputs) for feature, found in by_feature.items()}


def _trained(archive: Archive, model: Held) -> Trained:
    used = int(str(model.record.facts["windows_used"]))
    features = [archive.held(source.record) for source in model.record.inputs][-used:]
    datasets = [archive.held(each.record.inputs[0].record) for each in features]
    named = {source.record for each in datasets for source in each.record.inputs if source.place.stage == SOURCE}
    sources = sorted((archive.held(record) for record in named), key=lambda held: held.record.place.partition)
    return Trained(features=features, datasets=datasets, sources=sources)
