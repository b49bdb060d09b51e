"""The dataset of a window -> what the model sees, row by row, and which request fields that takes."""

from dataclasses import dataclass
from functools import partial

import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Json, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step
from mlops_assets.features.row_local import NotRowLocal, check_row_local
from mlops_assets.features.transform import Transform, required_inputs
from mlops_assets.intake.image_files import shape_of
from mlops_assets.intake.ingest import columns_of
from mlops_assets.product import Stage

OWN = ("_key", "_time", "_segment", "_origin", "_label", "_known_since")
ROW_LOCAL = "features_are_row_local"


@dataclass(frozen=True, kw_only=True)
class FeaturesStep(Step):
    """The features of a segment and window."""

    @property
    def stage(self) -> Stage:
        """`features`."""
        return Stage.FEATURES

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the dataset, the declared features, and the source of their function."""
        dataset = self.input(Stage.DATASET, partition)
        features = self.product.features
        modules = ["mlops_assets.features.step"] + ([features.rpartition(".")[0]] if isinstance(features, str) else [])
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(dataset.record.place), dataset.record.root)],
            params={"features": features if isinstance(features, str) else list(features)},
            seed=self.product.seed,
            state={"columns": columns_of(self.archive, self.product)[0].record.root},
            code=code_id(*modules),
        )
        return Prepared(recipe=recipe, inputs=[dataset.as_input()], build=partial(self._build, dataset))

    def _build(self, dataset: Held) -> Built:
        rows = self.archive.table(dataset, "dataset")
        transform = Transform(self.product.features)
        inputs = rows.drop(OWN)
        try:
            check_row_local(transform, inputs, self.product.seed)
        except NotRowLocal as problem:
            raise NotReady(f"{self.product.name}: {problem}", check=ROW_LOCAL) from problem
        seen = transform.computed(inputs)
        kept = seen.height == rows.height
        features = (
            pl.concat([rows.select("_key", "_time", "_label"), seen], how="horizontal") if kept else rows.select("_key")
        )
        checks = (
            Check(name=ROW_LOCAL, passed=True),
            Check(name="rows_are_kept", passed=kept, facts={"dataset": rows.height, "features": seen.height}),
            features_are_usable(seen),
        )
        return Built(
            outputs={"features": features},
            checks=checks,
            facts={
                "features": list(seen.columns),
                "inputs": self._inputs(required_inputs(transform, inputs)),
                "newest": dataset.record.facts["newest"],
            },
        )

    def _inputs(self, names: list[str]) -> dict[str, Json]:
        """Return what each request field may hold, as declared or as first seen in the source."""
        _, columns = columns_of(self.archive, self.product)
        held: dict[str, Json] = {name: columns[name].model_dump(mode="json") for name in names}
        image = self.product.source.image
        if image is not None and image.column in held:
            held[image.column] = {"type": "image", "shape": list(shape_of(image))}
        return held


def features_are_usable(seen: pl.DataFrame) -> Check:
    """Return the check that no feature is infinite, or missing in every row."""
    problems: dict[str, Json] = {}
    for series in seen.iter_columns():
        missing = series.is_null() | series.is_nan() if series.dtype.is_float() else series.is_null()
        if series.dtype.is_float() and series.is_infinite().any():
            problems[series.name] = f"{series.is_infinite().sum()} infinite values"
        elif seen.height and missing.all():
            problems[series.name] = "missing in every row"
    return Check(name="features_are_usable", passed=not problems, facts={"problems": problems})
