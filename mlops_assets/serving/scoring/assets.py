"""Batch scoring in the graph: `<product>/table` -> `<product>/scores`, and what is made of it in the same run."""

import dagster as dg

from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.scoring.step import FITS, ScoresStep
from mlops_assets.serving.scoring.table import CHECK, TABLE
from mlops_assets.wiring import Look, dep, external, segments_by_window, step_asset

DESCRIPTION = (
    "What the champion says of each row of the table, with its inference id. A row that does not fit is set aside with "
    "its reason. Rows that come late are added; a champion that comes later answers only them."
)


def scores_assets(product: ModelProduct) -> list[dg.AssetSpec | dg.AssetsDefinition]:
    """Return the declared table and the asset with the answers to its rows, window by window; nothing without one."""
    if product.scores is None:
        return []
    table = external(product, TABLE, "Rows that the champion is to score.", {"file"})
    scores = step_asset(
        ScoresStep,
        product,
        Stage.SCORES,
        Look(description=DESCRIPTION, kinds=frozenset({"polars"})),
        deps=[dep(product, TABLE)],
        checks={
            CHECK: "The table can be read, and has the columns that place its rows and that the champion reads.",
            FITS: "No more rows than `quarantine` allows were set aside because they do not fit the schema (warns).",
        },
        partitions=segments_by_window(product, monitored=True),
    )
    return [table, scores]
