"""Approving and rejecting from Dagster's UI. It knows nobody: without a signed statement the act is only asserted."""

from datetime import UTC, datetime
from typing import Literal

import dagster as dg
from pydantic import Field

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Json
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.acting import Desk, Signer, act_on, approving, enter, pasted, signer
from mlops_assets.registry.people.people import read_people
from mlops_assets.settings import load_settings


class Answer(dg.Config):
    """What is said of a candidate."""

    version: int = Field(description="The candidate's version.")
    verdict: Literal["approve", "reject"] = Field(description="approve or reject")
    reason: str = Field(default="", description="Why. A signed statement says so itself.")
    role: str = Field(default="", description="The role that agrees, where it is not plain.")
    statement: str = Field(default="", description="What `mlops-assets approve ... --key FILE --print` printed.")


def approve_job(product: ModelProduct) -> dg.JobDefinition:
    """Return the job `<product>_approve`: enters one answer; the retrain sensor then has the candidate decided on."""

    @dg.op(name=f"{product.name}_answer", description="Enters an approval or a rejection in the ledger.")
    def answer(context: dg.OpExecutionContext, config: Answer) -> None:
        settings = load_settings()
        desk = Desk(
            archive=Archive(settings.home), product=product, people=read_people(settings.defs), now=datetime.now(UTC)
        )
        try:
            act = _act(desk, config)
            where = enter(desk, act)
        except (ValueError, LookupError) as problem:
            raise dg.Failure(str(problem.args[0]), allow_retries=False) from problem
        context.log.info("%s by %s entered; roles that are missing: %s", act.kind, act.by, ", ".join(where.missing))
        for ignored in where.ignored:
            context.log.warning("%s", ignored)

    @dg.job(name=f"{product.name}_approve", description="Approve or reject a candidate that waits.")
    def approve() -> None:
        answer()

    return approve


def _act(desk: Desk, config: Answer) -> Act:
    if config.statement:
        return pasted(desk, config.version, config.verdict, config.statement)
    if not config.reason:
        raise ValueError("no reason; an answer says why")
    who: Signer = signer(desk.people, None)
    facts: dict[str, Json] = approving(desk, config.role or None, who) if config.verdict == "approve" else {}
    return act_on(desk, config.version, config.verdict, config.reason, facts, who)
