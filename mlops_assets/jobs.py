"""A product's jobs: what a run makes, whose it is, how long it may last and what its pod is given."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from mlops_assets.evidence.step import parse
from mlops_assets.product import SCORE, ModelProduct, Stage
from mlops_assets.wiring import quiet, segments_by_window

PRODUCT, TEAM, PROJECT = "mlops_assets/product", "mlops_assets/team", "mlops_assets/project"
LONGEST = "dagster/max_runtime"  # in s; Dagster's daemon ends a run that lasts longer
TagsOf = Callable[[str], Mapping[str, str]]


def job(
    product: ModelProduct, name: str, stages: Sequence[Stage], *, tags_of: TagsOf | None = None
) -> UnresolvedAssetJobDefinition:
    """Return the job `<product>_<name>` that makes `stages`, one partition a run; `tags_of` a segment are its runs'.

    A partition's tags are on its run whoever asks for it: a sensor, a backfill, a person who launches the job.
    """
    longest = {each: {LONGEST: str(60 * product.compute.of(each).minutes)} for each in product.segments}

    def tags(partition: str) -> Mapping[str, str]:
        segment = parse(partition)[0]
        return {**longest[segment], **(tags_of(segment) if tags_of else {})}

    config = dg.PartitionedConfig(
        partitions_def=segments_by_window(product, monitored=stages[0] in SCORE),
        run_config_for_partition_key_fn=lambda _: quiet("WARNING"),
        tags_for_partition_key_fn=tags,
    )
    selection = [dg.AssetKey(product.key(stage)) for stage in stages]
    return dg.define_asset_job(
        f"{product.name}_{name}",
        selection=selection,
        config=config,
        tags=whose(product),
        executor_def=dg.in_process_executor,  # the run's pod is its steps' pod
    )


def whole_job(product: ModelProduct, name: str, asset: str) -> UnresolvedAssetJobDefinition:
    """Return the job `<product>_<name>` that makes one asset without partitions."""
    return dg.define_asset_job(
        f"{product.name}_{name}",
        selection=[dg.AssetKey(product.key(asset))],
        config=quiet("WARNING"),
        tags={**whose(product), LONGEST: str(60 * product.compute.minutes)},
        executor_def=dg.in_process_executor,
    )


def whose(product: ModelProduct) -> dict[str, str]:
    """Return the tags that say whose a run is, so that the UI and a bill can be filtered by them."""
    named = {PRODUCT: product.name, TEAM: product.team, PROJECT: product.project}
    return {tag: value for tag, value in named.items() if value is not None}
