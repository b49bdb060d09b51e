"""How a step becomes a Dagster asset: partitions, dependencies, checks and what a materialization says."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.utils import NoValueSentinel

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence, Check, Cost, Json
from mlops_assets.evidence.step import NotReady, Step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import load_settings
from mlops_assets.windows import ALL, FORMATS, Grid

Materialized = dg.MaterializeResult[type[NoValueSentinel]]
EVERY_S = 2  # of sensors; less than the 5 s in which the daemon looks at them: each time that it does
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
Events = Iterator[Materialized | dg.AssetCheckResult]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an act has to say about a record just made: metadata, and claims about it that are not part of it."""

    metadata: Mapping[str, dg.MetadataValue] = field(default_factory=dict[str, dg.MetadataValue])
    checks: Sequence[Check] = ()


Then = Callable[[dg.AssetExecutionContext, Step, Held], Told]
First = Callable[[dg.AssetExecutionContext, Step], None]


class Platform(dg.ConfigurableResource[None]):
    """Where evidence lives. The environment says so; there is nothing to configure."""

    def step(self, kind: type[Step], product: ModelProduct) -> Step:
        """Return the step of `product` over this deployment's evidence."""
        settings = load_settings()
        return kind(product=product, archive=Archive(settings.home), settings=settings)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How an asset shows itself: what a newcomer reads, and how soon it is overdue."""

    description: str
    kinds: frozenset[str]
    fresh_for: timedelta | None = None

    @property
    def freshness(self) -> dg.FreshnessPolicy | None:
        """The policy that turns red when nothing was materialized for too long."""
        return dg.FreshnessPolicy.time_window(fail_window=self.fresh_for) if self.fresh_for else None


def segments_by_window(product: ModelProduct, *, monitored: bool = False) -> dg.MultiPartitionsDefinition:
    """Return segment by window; `monitored` gives the finer monitoring windows."""
    grid = product.grid if monitored else product.windows
    windows = time_windows(grid) if grid else dg.StaticPartitionsDefinition([ALL])
    return dg.MultiPartitionsDefinition({"segment": dg.StaticPartitionsDefinition(product.segments), "window": windows})


def time_windows(grid: Grid) -> dg.TimeWindowPartitionsDefinition:
    """Return the partitions of `grid`; its keys and Dagster's are the same strings."""
    weekday = datetime.strptime(grid.key(grid.start), FORMATS[grid.every]).isoweekday() % 7
    cron = {"hour": "0 * * * *", "day": "0 0 * * *", "week": f"0 0 * * {weekday}", "month": "0 0 1 * *"}[grid.every]
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=cron, start=grid.start, end=grid.end, fmt=FORMATS[grid.every], timezone=grid.timezone
    )


def dep(product: ModelProduct, stage: Stage | str, windows: dg.PartitionMapping | None = None) -> dg.AssetDep:
    """Return the dependency on a stage, of the same segment; `windows` maps the window if it is not the same one."""
    key = dg.AssetKey(product.key(stage))
    if windows is None:
        return dg.AssetDep(key)
    same = dg.DimensionPartitionMapping("segment", dg.IdentityPartitionMapping())
    mapped = dg.DimensionPartitionMapping("window", windows)
    return dg.AssetDep(key, partition_mapping=dg.MultiPartitionMapping({"segment": same, "window": mapped}))


def step_asset(
    kind: type[Step],
    product: ModelProduct,
    stage: Stage,
    look: Look,
    *,
    deps: Sequence[dg.AssetDep],
    checks: Mapping[str, str],
    partitions: dg.PartitionsDefinition | None,
    pool: str | None = None,
    then: Then | None = None,
    after: Then | None = None,
) -> dg.AssetsDefinition:
    """Return the asset that makes `stage` with the step `kind`; `checks` maps name to text, computed in the step.

    `then` and `after` are those of `events`.
    """
    key = dg.AssetKey(product.key(stage))

    @dg.asset(
        key=key,
        deps=deps,
        partitions_def=partitions,
        check_specs=check_specs(key, checks, partitions),
        pool=pool,
        group_name=product.name,
        owners=list(product.owners),
        kinds=set(look.kinds),
        description=look.description,
        freshness_policy=look.freshness,
    )
    def made(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Events:
        yield from events(context, platform.step(kind, product), then, after=after)

    return made


def check_specs(
    key: dg.AssetKey, checks: Mapping[str, str], partitions: dg.PartitionsDefinition | None
) -> list[dg.AssetCheckSpec]:
    """Return the checks of an asset, partitioned as the asset is."""
    return [
        dg.AssetCheckSpec(name, asset=key, description=text, partitions_def=partitions, blocking=True)
        for name, text in checks.items()
    ]


def events(
    context: dg.AssetExecutionContext,
    step: Step,
    then: Then | None = None,
    *,
    first: First | None = None,
    after: Then | None = None,
) -> Events:
    """Make the run's partition and yield what the graph is told; `then` acts on the record and has more to tell.

    Of two runs of one partition the later one waits, `first` and `then` included: it finds made what the other has
    made. `after` is a `then` for which nobody waits.

    Raises:
        dg.Failure: If an input is missing, failed or unreadable, or the act failed; it names what is wrong.
    """
    partition = partition_of(context)
    try:
        with step.alone(partition):
            if first:
                first(context, step)
            held = step.make(partition, run_id=context.run.run_id)
            if held.skipped:
                context.log.info("%s: skipped, this recipe is already made", held.record.place)
            told = then(context, step, held) if then else Told()
        told = after(context, step, held) if after else told
    except NotReady as problem:
        if problem.check:
            yield dg.AssetCheckResult(check_name=problem.check, passed=False, metadata={"problem": str(problem)})
        raise dg.Failure(str(problem), allow_retries=False) from problem
    except BrokenEvidence as problem:
        raise dg.Failure(str(problem), allow_retries=False) from problem
    yield materialized(held, told)
    yield from _results(context.asset_key, [*held.record.checks, *told.checks])


def partition_of(context: dg.AssetExecutionContext) -> str:
    """Return the run's partition key; an unpartitioned asset has the one partition `all`."""
    partitioned = context.assets_def.partitions_def is not None  # the run may have a key that is not this asset's
    return str(context.partition_key) if partitioned else ALL


def materialized(held: Held, told: Told) -> Materialized:
    """Return what the graph is told: the content root as data version, the record and its facts."""
    rows = held.record.outputs[0].rows
    metadata = {"record": dg.MetadataValue.text(held.id), "skipped": dg.MetadataValue.bool(held.skipped)}
    counted = {"dagster/row_count": dg.MetadataValue.int(rows)} if rows is not None else {}
    return dg.MaterializeResult(
        metadata={**metadata, **counted, **_shown_facts(held.record.facts), **_cost(held), **told.metadata},
        data_version=dg.DataVersion(held.record.root),
        tags={"mlops_assets/record": held.id[:32]},  # Dagster allows 63 characters; the metadata has all 64
    )


def _cost(held: Held) -> dict[str, dg.MetadataValue]:
    """Return what this materialization took; a skipped one took nothing."""
    spent = None if held.skipped else held.envelope.cost
    cost = spent or Cost(cpu_s=0)
    return {
        "cpu_s": dg.MetadataValue.float(float(cost.cpu_s)),
        "gpu_s": dg.MetadataValue.float(float(cost.gpu_s)),
        "bytes": dg.MetadataValue.int(cost.bytes_written),
    }


def _results(key: dg.AssetKey, checks: Iterable[Check]) -> Iterator[dg.AssetCheckResult]:
    """Yield checks on their own and with their key: inside a MaterializeResult each costs Dagster two more queries."""
    for check in checks:
        warns = check.severity == "warn" or not check.blocking
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
            metadata=_shown_facts(check.facts),
        )


def _shown_facts(facts: Mapping[str, Json]) -> dict[str, dg.MetadataValue]:
    return {name: _metadata(value) for name, value in facts.items() if value is not None}


def _metadata(value: Json) -> dg.MetadataValue:
    if value is None:
        return dg.MetadataValue.null()
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    return dg.MetadataValue.text(value) if isinstance(value, str) else dg.MetadataValue.json(value)


def overdue_after(grid: Grid | None, delay: timedelta) -> timedelta | None:
    """Return after how long a stage that follows `grid` is overdue: two windows and `delay`; None if it ever ends."""
    return None if grid is None or grid.end else 2 * grid.longest + delay


def external(product: ModelProduct, name: str, description: str, kinds: set[str]) -> dg.AssetSpec:
    """Return the spec of something outside the graph that a stage follows."""
    key = dg.AssetKey(product.key(name))
    return dg.AssetSpec(key, group_name=product.name, description=description, kinds=kinds, owners=list(product.owners))


def under_way(instance: dg.DagsterInstance, job: str, tag: str) -> set[str]:
    """Return what a tag says of the job's runs that wait or run; one that was never submitted is asked for again."""
    return {run.tags.get(tag, "") for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY))}


def quiet(level: str) -> dict[str, Json]:
    """Return the run configuration that prints only what is as grave as `level`; the UI has all of it anyway."""
    return {"loggers": {"console": {"config": {"log_level": level}}}}
