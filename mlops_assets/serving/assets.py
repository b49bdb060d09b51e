"""The endpoint in the graph: `<product>/champion` -> `<product>/endpoint`, and `<product>/traffic` -> `<product>/predictions`."""

from datetime import timedelta

import dagster as dg

from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.steps import EndpointStep, PredictionsStep
from mlops_assets.wiring import Look, dep, segments_by_window, step_asset

HEARTBEAT = timedelta(hours=2)


def endpoint_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset whose materialization deploys the champions and waits until every live worker serves them."""
    return step_asset(
        EndpointStep,
        product,
        Stage.ENDPOINT,
        Look(description="The champions of all segments, deployed and answering.", kinds=frozenset({"http"}), fresh_for=HEARTBEAT),
        deps=[dep(product, Stage.CHAMPION)],
        checks={
            "answers_as_offline": "Live answers equal the offline model's on a probe set.",
            "is_served": "A worker is up and serves this deployment (warns: the state is kept for the next worker).",
        },
        partitions=None,
        pool=f"{product.name}_endpoint",
    )


def predictions_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with the sealed windows of the inference log, by inference id, and the outcomes that came for them."""
    return step_asset(
        PredictionsStep,
        product,
        Stage.PREDICTIONS,
        Look(description="Every acknowledged answer of a closed window, with inputs, features and version.", kinds=frozenset({"polars"})),
        deps=[dep(product, "traffic")],
        checks={
            "is_complete": "Sequence numbers have no gap for any writer.",
            "online_equals_offline": "Features computed in the endpoint equal those computed here.",
        },
        partitions=segments_by_window(product, monitored=True),
    )
