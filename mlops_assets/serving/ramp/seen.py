"""What the workers counted and refused since a variant was last routed otherwise, and what the ledger says of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.evidence.ledger import Act, moves_of
from mlops_assets.evidence.traffic import RAMP
from mlops_assets.serving.log.sealed import CHAMPION
from mlops_assets.serving.ramp.matured import Tried
from mlops_assets.serving.routing.counts import VariantCounts, added, counts_key
from mlops_assets.serving.routing.deploy import Deployment
from mlops_assets.serving.workers import Worker

ROUTES = ("traffic", "withdraw", "promote", "rollback")  # after these the counts of a segment begin anew


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Counts of all workers, dead ones too, since the segment was last routed otherwise.

    `looks` is how often that was since the variant began, `failed` why its deployment is not served, if that is so.
    """

    variant: VariantCounts
    champion: VariantCounts
    looks: int
    failed: str | None


def seen(workers: Sequence[Worker], acts: Sequence[Act], tried: Tried) -> Seen:
    """Return what all workers that ever were know of a variant and the champion."""
    mine = [(at, act) for at, act in enumerate(acts) if act.segment == tried.segment and act.kind in ROUTES]
    began = max(at for at, _ in mine)
    deployed = [act.record for act in acts[began:] if act.kind == "deploy"]
    everyone = [worker for worker in workers if worker.counts_of in deployed]

    def of(variant: str, version: int | None) -> VariantCounts:
        key = counts_key(tried.segment, variant, version or 0)
        return added(worker.counts[key] for worker in everyone if key in worker.counts)

    first = acts.index(tried.variant.since)
    return Seen(
        variant=of(tried.variant.name, tried.variant.version),
        champion=of(CHAMPION, tried.champion.version),
        looks=sum(at >= first for at, _ in mine),
        failed=_failed(workers, acts[began:], deployed[0]) if deployed and deployed[0] else None,
    )


def undeployed(acts: Sequence[Act], asked: Deployment) -> bool:
    """Return whether acts may not be in `asked` yet. The gate's are deployed by the run that it is part of.

    A deployment that failed is not asked for again: its acts came before it.
    """
    at = max((at for at, act in enumerate(acts) if act.kind == "deploy"), default=-1)
    last = next((act for act in reversed(acts) if act.kind in ("deploy", "fail")), None)
    lost = last is not None and last.kind == "deploy" and last.record != asked.id
    return lost or any(act.kind in ROUTES and act.by != "gate" for act in acts[at + 1 :])


def left_behind(acts: Sequence[Act], segment: str) -> Act | None:
    """Return the latest act of a ramp that is not over, although the champion that it was to follow is another one."""
    mine = [act for act in acts if act.segment == segment]
    last = next(
        (at for at in reversed(range(len(mine))) if mine[at].kind == "traffic" and RAMP in mine[at].facts), None
    )
    if last is None:
        return None
    ramp = mine[last]
    over = any(act.kind in ("withdraw", "promote") and act.record == ramp.record for act in mine[last:])
    return None if over or moves_of(mine, segment)[-1].record == ramp.facts[RAMP] else ramp


def _failed(workers: Sequence[Worker], later: Sequence[Act], deployment: str) -> str | None:
    """Return why the deployment that brought a variant is not served: a later one may have failed of something else."""
    act = next((act for act in later if act.kind == "fail" and act.record == deployment), None)
    if act is not None:
        return act.reason
    return next((worker.error for worker in workers if worker.refused == deployment), None)
