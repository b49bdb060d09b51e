"""Costs in the graph: `<product>/costs`, made anew each day from the evidence as it is; it depends on no asset."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.chart import as_markdown
from mlops_assets.costs.budget import Budget
from mlops_assets.costs.drawn import costs_plot
from mlops_assets.costs.rollup import Costs, costs
from mlops_assets.costs.shown import tables
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.jobs import whole_job
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import Materialized

COSTS, CHECK = "costs", "within_budget"
DAILY = "30 0 * * *"  # after the day (UTC) is over


def costs_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset that adds up what `product` cost; with `spending:` it has a check, which warns."""
    key = dg.AssetKey(product.key(COSTS))
    text = "No more CPU and GPU hours were used than `spending` allows (warns)."
    specs = [dg.AssetCheckSpec(CHECK, asset=key, description=text)] if product.spending else []

    @dg.asset(
        key=key,
        check_specs=specs,
        group_name=product.name,
        owners=list(product.owners),
        kinds={"table"},
        description="What it took, by stage, model, retraining and point of the metric; models that nobody uses.",
    )
    def made(context: dg.AssetExecutionContext) -> Iterator[Materialized | dg.AssetCheckResult]:
        try:
            found = costs(product, Archive(load_settings().home), datetime.now(UTC))
        except BrokenEvidence as problem:
            raise dg.Failure(str(problem), allow_retries=False) from problem
        yield dg.MaterializeResult(metadata=_metadata(found))
        if found.budget:
            yield _within(found.budget)

    return made


def costs_schedule(product: ModelProduct) -> dg.ScheduleDefinition:
    """Return the schedule that adds up a product's costs each day."""
    return dg.ScheduleDefinition(
        name=f"{product.name}_costs",
        job=whole_job(product, COSTS, COSTS),
        cron_schedule=DAILY,
        description="Daily: what the product has cost so far.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _metadata(found: Costs) -> dict[str, dg.MetadataValue]:
    """Return tables and plot, and the numbers that the UI draws over time itself."""
    numbers = {
        "cpu_s": found.all.cpu_s,
        "gpu_s": found.all.gpu_s,
        "models_s": sum(model.cost.cpu_s + model.cost.gpu_s for model in found.models),
        "unused_models_bytes": float(sum(each.bytes for each in found.unused)),
        **({"s_per_point": found.per_point_s} if found.per_point_s is not None else {}),
        **{f"{each.kind.lower()}_hours_of_budget": each.hours for each in (found.budget.used if found.budget else ())},
    }
    return {
        "costs": dg.MetadataValue.md(as_markdown(costs_plot(found), "costs")),
        **{title: dg.MetadataValue.md(table) for title, table in tables(found).items()},
        **{name: dg.MetadataValue.float(float(value)) for name, value in numbers.items()},
        "bytes": dg.MetadataValue.int(found.all.bytes),
        "records": dg.MetadataValue.int(found.all.records),
        "unused_models": dg.MetadataValue.int(len(found.unused)),
    }


def _within(found: Budget) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not found.exceeded,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={f"{each.kind.lower()}_hours": each.hours for each in found.used}
        | {f"{each.kind.lower()}_limit": each.limit for each in found.used},
    )
