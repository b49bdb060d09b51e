"""The whole graph of one product, on one screen."""

import dagster as dg

from mlops_assets.annotations.assets import annotations_asset
from mlops_assets.catalogue import check_product
from mlops_assets.costs.assets import costs_asset, costs_schedule
from mlops_assets.dataset.assets import dataset_asset
from mlops_assets.dataset.sensors import data_sensor
from mlops_assets.features.assets import features_asset
from mlops_assets.jobs import UnresolvedAssetJobDefinition, job, whole_job
from mlops_assets.monitoring.assets import drift_asset, performance_asset, profile_asset
from mlops_assets.monitoring.late_labels import labelled
from mlops_assets.monitoring.sensors import seal_sensor
from mlops_assets.product import DATA, RETRAIN, SCORE, SEAL, ModelProduct, Stage
from mlops_assets.registry.assets import champion_asset
from mlops_assets.registry.jobs import approve_job
from mlops_assets.retraining.sensors import retrain_sensor
from mlops_assets.serving.assets import endpoint_asset, predictions_asset
from mlops_assets.serving.scoring.assets import scores_assets
from mlops_assets.serving.scoring.sensors import scores_sensor
from mlops_assets.serving.sensors import traffic_sensor
from mlops_assets.settings import Settings
from mlops_assets.training.assets import model_asset
from mlops_assets.training.compute import pod_tags
from mlops_assets.wiring import external


def build_definitions(product: ModelProduct, settings: Settings) -> dg.Definitions:
    """Return assets, checks, jobs, sensors and schedules of `product`.

    Raises:
        ValueError: If the declaration names a file, column, function or parameter that is not there.
        BrokenEvidence: If what is stored of its source is not as it was written.
    """
    check_product(product, settings)
    data, seal = job(product, "data", DATA), job(product, "seal", SEAL)
    deploy = whole_job(product, "deploy", Stage.ENDPOINT)
    pods = {each: pod_tags(product.compute.of(each), settings.gpu_nodes) for each in product.segments}
    retrain = job(product, "retrain", RETRAIN, tags_of=pods.__getitem__)
    decide = job(product, "decide", (Stage.CHAMPION, Stage.ENDPOINT))  # again, once people have agreed
    scores = [job(product, "scores", SCORE)] if product.scores else []
    return dg.Definitions(
        assets=[
            external(product, "source", "Where rows and labels come from.", {"file"}),
            annotations_asset(product),
            dataset_asset(product),
            features_asset(product),
            model_asset(product, settings.gpu_nodes),
            champion_asset(product),
            endpoint_asset(product),
            external(product, "traffic", "Requests that the endpoint answered; outcomes that were reported.", {"http"}),
            external(product, "decisions", "Every decision whether to retrain: who asked, and why.", {"table"}),
            *scores_assets(product),
            predictions_asset(product),
            profile_asset(product),
            drift_asset(product),
            performance_asset(product),
            costs_asset(product),
        ],
        jobs=[data, retrain, seal, deploy, decide, *scores, *([approve_job(product)] if product.approval else [])],
        sensors=[
            data_sensor(product, data),
            *(scores_sensor(product, each) for each in scores),
            seal_sensor(product, seal),
            retrain_sensor(product, retrain, decide),
            traffic_sensor(product, deploy, labelled),
        ],
        schedules=[_heartbeat(product, deploy), costs_schedule(product)],
    )


def _heartbeat(product: ModelProduct, deploy: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=f"{product.name}_heartbeat",
        job=deploy,
        cron_schedule="0 * * * *",
        description="Hourly: routes and aliases agree with the ledger, and every worker answers.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
