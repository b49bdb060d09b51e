"""What people did to candidates, wherever they did it -> the decisions to make again."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from mlops_assets.asking import ASKED, REASON, fresh_keys
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.step import Due
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.pending import reopened
from mlops_assets.registry.people.people import read_people
from mlops_assets.settings import Settings


def decision_requests(
    product: ModelProduct,
    settings: Settings,
    instance: dg.DagsterInstance,
    job: str,
    acts: Sequence[Act],
    now: datetime,
) -> list[dg.RunRequest]:
    """Return the runs of `job` to ask for: one for each candidate whose last role has agreed, or that was rejected."""
    archive = Archive(settings.home)
    if not any(act.kind in ("wait", "reject", "waive") for act in acts) or archive.ledger.paused(product.name):
        return []
    due = list(reopened(archive, product, read_people(settings.defs), now, acts))
    keys = fresh_keys(instance, job, [_asked(each) for each in due], now) if due else {}
    return [
        dg.RunRequest(
            job_name=job,
            partition_key=each.partition,
            run_key=keys[_asked(each)],
            tags={ASKED: _asked(each), REASON: each.why[:500]},
        )
        for each in due
        if _asked(each) in keys
    ]


def _asked(due: Due) -> str:
    return f"{due.partition}@{due.version}"
