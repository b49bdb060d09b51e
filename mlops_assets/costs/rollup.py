"""A product's evidence -> what it cost: by stage, model, retraining, point of the metric; its budget; unused models."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from mlops_assets.costs.budget import Budget, budget
from mlops_assets.costs.models import ModelCost, attributed, by_decision, per_point
from mlops_assets.costs.spent import Spent, spent
from mlops_assets.costs.sums import Sum, total
from mlops_assets.costs.unused import Unused, unused
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Struct
from mlops_assets.product import SCORE, ModelProduct, Stage
from mlops_assets.serving.scoring.table import TABLE

WATCHING = (TABLE, *SCORE)  # traffic, that of tables included


class Retrained(Struct, frozen=True, kw_only=True):
    """What a retraining decision led to: the versions, what they cost, and what the promoted one gained."""

    decision: str
    segment: str
    at: str
    reason: str
    versions: tuple[int, ...]
    cost: Sum
    gained: float | None
    per_point_s: float | None


class Day(Struct, frozen=True, kw_only=True):
    """What a day (UTC) took."""

    day: str
    cpu_s: float
    gpu_s: float


class Costs(Struct, frozen=True, kw_only=True):
    """What a product cost since `since`, or ever.

    `stages` add up to `all`. So do, over all time, the costs of the models with what belongs to none: `unlearned` (data
    that no model has learned from), `watching` (traffic; tables that are scored) and `deploying` (without a training).
    With `since`, models are those registered later, each with all that it cost. `gained` is what their promotions
    gained in the gate's metric together, `per_point_s` the CPU and GPU time that they all took for each 0.01 of it.
    """

    product: str
    team: str | None
    project: str | None
    since: str | None
    metric: str
    all: Sum
    stages: dict[str, Sum]
    days: tuple[Day, ...]
    models: tuple[ModelCost, ...]
    unlearned: Sum
    watching: Sum
    deploying: Sum
    retrained: tuple[Retrained, ...]
    gained: float
    per_point_s: float | None
    budget: Budget | None
    unused: tuple[Unused, ...]


def costs(product: ModelProduct, archive: Archive, now: datetime, *, since: datetime | None = None) -> Costs:
    """Return what `product` cost up to `now`; with `since`, only what was made, and which models were trained, later.

    Raises:
        BrokenEvidence: If evidence is missing or changed.
    """
    everything = spent(archive, product.name)
    ledger, metric = archive.ledger, product.gate.metric
    registered = ledger.acts(product.name, "register")
    moves = ledger.acts(product.name, "promote", "rollback")
    shares = attributed(everything, registered, metric)
    models = tuple(model for model in shares.models if _later(model.at, since))
    made = [each for each in everything if _later(each.at, since)]
    rest = [each for each in shares.rest if _later(each.at, since)]
    gained = round(sum(model.gained or 0.0 for model in models), 6)
    return Costs(
        product=product.name,
        team=product.team,
        project=product.project,
        since=since.isoformat() if since else None,
        metric=metric,
        all=total(made),
        stages=_stages(made),
        days=_days(made),
        models=models,
        unlearned=total(each for each in rest if each.stage not in (*WATCHING, Stage.ENDPOINT)),
        watching=total(each for each in rest if each.stage in WATCHING),
        deploying=total(each for each in rest if each.stage == Stage.ENDPOINT),
        retrained=tuple(_retrained(decision, led_to) for decision, led_to in by_decision(models).items()),
        gained=gained,
        per_point_s=per_point(_sum(model.cost for model in models), gained),
        budget=budget(product.spending, everything, now) if product.spending else None,
        unused=unused(registered, moves, _sizes(everything), now),
    )


def by_owner(found: Sequence[Costs], field: str) -> dict[str, Sum]:
    """Return what the products of each `team` or `project` cost together; those of none are left out."""
    sums: dict[str, Sum] = {}
    for one in found:
        name = one.team if field == "team" else one.project
        if name is not None:
            sums[name] = sums.get(name, Sum()) + one.all
    return dict(sorted(sums.items()))


def _later(at: str, since: datetime | None) -> bool:
    return since is None or datetime.fromisoformat(at) >= since


def _stages(made: Sequence[Spent]) -> dict[str, Sum]:
    """Return what each stage took, in the order of the flow; what was read of the source comes first."""
    found = {each.stage for each in made}
    before = sorted(found - {stage.value for stage in Stage})
    return {name: total(e for e in made if e.stage == name) for name in (*before, *Stage) if name in found}


def _days(made: Sequence[Spent]) -> tuple[Day, ...]:
    found: dict[str, Day] = {}
    for each in made:
        day = found.get(each.at[:10], Day(day=each.at[:10], cpu_s=0.0, gpu_s=0.0))
        more = msgspec.structs.replace(day, cpu_s=day.cpu_s + each.cpu_s, gpu_s=day.gpu_s + each.gpu_s)
        found[day.day] = more
    return tuple(found[day] for day in sorted(found))


def _retrained(decision: str, models: Sequence[ModelCost]) -> Retrained:
    cost, gained = _sum(model.cost for model in models), next((m.gained for m in models if m.gained is not None), None)
    return Retrained(
        decision=decision,
        segment=models[0].segment,
        at=models[0].at,
        reason=models[0].reason,
        versions=tuple(model.version for model in models),
        cost=cost,
        gained=gained,
        per_point_s=per_point(cost, gained),
    )


def _sum(sums: Iterable[Sum]) -> Sum:
    return sum(sums, Sum())


def _sizes(everything: Sequence[Spent]) -> dict[str, int]:
    return {each.record: each.bytes for each in everything if each.stage == Stage.MODEL}
