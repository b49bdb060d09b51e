"""Acts and decisions of the past -> who serves a segment, what was trained and asked for, what is dismissed. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from mlops_assets.evidence.ledger import Act, moves_of
from mlops_assets.evidence.records import canonical, digest
from mlops_assets.evidence.traffic import gates_word, ramp_of, taken_back
from mlops_assets.product import ModelProduct
from mlops_assets.retraining.alarms import Training
from mlops_assets.retraining.state import Ask
from mlops_assets.retraining.stored import Stored


def champion_act(acts: Sequence[Act], segment: str) -> Act | None:
    """Return the act that made the segment's champion what it is, or None before the first."""
    moves = moves_of(acts, segment)
    return moves[-1] if moves else None


def trainings(
    product: ModelProduct, acts: Sequence[Act], segment: str, decided: Sequence[Stored]
) -> Iterator[Training]:
    """Yield the candidates that the gate has decided on, with the alarms that asked for them.

    One that waits for people to approve it, or is tried on live traffic, has not failed, unless it is rejected or taken
    back later.
    """
    asked = {each.id: tuple(each.alarms) for each in decided}
    registered = {act.record: act for act in acts if act.kind == "register"}
    judged = [act for act in acts if gates_word(act) and act.segment == segment]
    latest = {act.record: act.kind for act in judged}
    for act in judged:
        open_ = act.kind in ("wait", "traffic")
        if act.record in registered and (not open_ or latest[act.record] == act.kind):
            tried = act.kind == "traffic" and taken_back(acts, act.record) is not None
            yield Training(
                until=_end(product, registered[act.record]),
                alarms=asked.get(str(registered[act.record].facts.get("decision")), ()),
                failed=act.kind == "refuse" or tried,
            )


def on_trial(acts: Sequence[Act], segment: str) -> str | None:
    """Return which candidate of a segment is on its way to become champion, or None."""
    found = ramp_of(acts, segment)
    return f"{found.act.product}@{found.version} is tried as {found.name}" if found else None


def open_asks(acts: Sequence[Act], segment: str, decided: Sequence[Stored]) -> tuple[Ask, ...]:
    """Return what people asked for on this segment, or on all, and no decision has answered with a training."""
    mine = [act for act in acts if act.kind == "retrain" and act.segment in (None, segment)]
    answered = {ask for each in decided if each.retrain for ask in each.asks}
    found = [Ask(id=digest(canonical(act)), by=act.by, reason=act.reason) for act in mine]
    return tuple(ask for ask in found if ask.id not in answered)


def pause(acts: Sequence[Act]) -> str | None:
    """Return the reason of the pause in force, or None."""
    latest = next((act for act in reversed(acts) if act.kind in ("pause", "resume")), None)
    return latest.reason if latest and latest.kind == "pause" else None


def dismissed(acts: Sequence[Act]) -> frozenset[str]:
    """Return the verdicts that a person dismissed, by record."""
    return frozenset(act.record for act in acts if act.kind == "dismiss" and act.record)


def _end(product: ModelProduct, registered: Act) -> datetime | None:
    return product.windows.bounds(str(registered.facts["window"]))[1] if product.windows else None
