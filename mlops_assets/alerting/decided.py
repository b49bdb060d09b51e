"""Stored decisions -> alerts: a person has to decide, or a training was decided on and nothing runs."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from mlops_assets.alerting.alert import Alert, Found, why_command
from mlops_assets.evidence.archive import Archive
from mlops_assets.product import ModelProduct
from mlops_assets.retraining.stored import Stored, stored_decisions
from mlops_assets.settings import Settings

A_PERSON = "a person must"  # how the reasons of a decision say that no retraining will help
LAUNCHING = timedelta(minutes=10)


def decision_alerts(
    product: ModelProduct, settings: Settings, archive: Archive, launched: Callable[[str], bool]
) -> Iterator[Found]:
    """Yield what the latest decision of each segment asks of a person, and the latest yes if nothing came of it.

    `launched` says whether a decision ever had a run; the ledger remembers longer than Dagster does.
    """
    decided = stored_decisions(settings.home, product.name)
    trained = {str(act.facts.get("decision")) for act in archive.ledger.acts(product.name, "register")}
    paused = archive.ledger.paused(product.name) is not None
    for segment in product.segments:
        mine = [decision for decision in decided if decision.segment == segment]
        asked = [reason for reason in mine[-1].reasons if A_PERSON in reason] if mine else []
        if asked:
            yield Found(alert=_alert(mine[-1], "a person must decide", "person", "; ".join(asked)))
        decision = None if paused else next((each for each in reversed(mine) if each.retrain), None)
        if decision is not None and decision.id not in trained and not launched(decision.id):
            words = f"a retraining on {decision.target} was decided on at {decision.decided_at[:19]}, but no run began"
            yield Found(
                alert=_alert(decision, "stalled automation", f"launch/{decision.id[:16]}", words), after=LAUNCHING
            )


def _alert(decision: Stored, kind: str, name: str, words: str) -> Alert:
    return Alert(
        id=f"{decision.product}/{decision.segment}/{name}",
        product=decision.product,
        segment=decision.segment,
        kind=kind,
        severity="error",
        words=words,
        record=next(iter([*decision.alarms, *decision.considered]), None),
        link=why_command(decision.product),
    )
