"""Ledger and heads -> the candidates that wait for people, and those on which people have acted since the decision."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import Due, parse
from mlops_assets.evidence.traffic import gates_word
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.people.approvals import Case, Standing, about, asked_by, considered, standing, waivers
from mlops_assets.registry.people.people import People


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A candidate that would be promoted, were it not for the roles that are missing; since when, in `since`."""

    version: int
    partition: str
    record: str
    since: str
    reasons: str
    standing: Standing

    @property
    def segment(self) -> str:
        """The segment that it would serve."""
        return parse(self.partition)[0]

    @property
    def words(self) -> str:
        """Who has to agree, and who has."""
        agreed = "".join(f"; {each.by} agreed as {each.role}" for each in self.standing.agreed)
        missing = self.standing.missing
        return (
            f"waits for {' and '.join(missing)} to approve" if missing else "is approved, and is judged again"
        ) + agreed


def case_of(candidate: Held, registered: Act | None) -> Case:
    """Return what acts on `candidate` are judged by."""
    return Case(
        product=candidate.record.place.product,
        record=candidate.id,
        made=datetime.fromisoformat(candidate.envelope.at),
        asked_by=asked_by(registered),
    )


def moot(archive: Archive, product: ModelProduct, registered: Act, acts: Sequence[Act]) -> str:
    """Return why nothing can make a registered version champion any more, or nothing if something can."""
    rejected = next((act for act in acts if act.kind == "reject" and act.record == registered.record), None)
    if rejected is not None:
        return f"it was rejected by {rejected.by} at {rejected.at[:19]}: {rejected.reason}"
    return _left_behind(archive, product, registered, acts)


def pending(
    archive: Archive, product: ModelProduct, people: People, now: datetime, acts: Sequence[Act] | None = None
) -> list[Pending]:
    """Return the candidates that wait, oldest version first."""
    acts = archive.ledger.acts(product.name) if acts is None else acts
    waiting = {act.record: act for act in latest(acts).values() if act.kind == "wait"}
    found: list[Pending] = []
    for known in _registered(acts, waiting):
        if not known.record or moot(archive, product, known, acts):
            continue
        case = case_of(archive.held(known.record), known)
        found.append(
            Pending(
                version=known.version or 0,
                partition=_partition(known),
                record=known.record,
                since=waiting[known.record].at,
                reasons=waiting[known.record].reason,
                standing=standing(acts, people, product.approval, case, now),
            )
        )
    return sorted(found, key=lambda each: each.version)


def reopened(
    archive: Archive, product: ModelProduct, people: People, now: datetime, acts: Sequence[Act]
) -> Iterator[Due]:
    """Yield the candidates that have to be decided on again, since what people did changes the answer.

    That is when the last role has agreed, somebody rejected it, or a criterion was waived, and the decision that there
    is has not seen it. The version of what is due is the same as long as these acts are.
    """
    acted = {act.record for act in acts if act.kind in ("reject", "waive")}
    waiting = {act.record for act in latest(acts).values() if act.kind == "wait"}
    for known in _registered(acts, acted | waiting):
        decision = archive.head(Place(product=product.name, stage=Stage.CHAMPION, partition=_partition(known)))
        if not known.record or decision is None or _left_behind(archive, product, known, acts):
            continue
        case = case_of(archive.held(known.record), known)
        where = standing(acts, people, product.approval, case, now)
        seen = considered(acts, case)
        unseen = decision.record.state.get("acts") != seen
        agreed = known.record in waiting and where.complete
        if agreed or (unseen and (where.rejected or waivers(acts, people, case, now))):
            mine = about(acts, case)
            said = f"{mine[-1].kind} by {mine[-1].by}: {mine[-1].reason}" if mine else "nobody has to agree any more"
            version = f"{case.record[:16]} {seen[:16]}"
            yield Due(partition=_partition(known), version=version, why=f"{product.name}@{known.version}: {said}")


def _left_behind(archive: Archive, product: ModelProduct, registered: Act, acts: Sequence[Act]) -> str:
    """Return by what a candidate was overtaken: its own promotion, a newer champion, a new training of its window."""
    name, window = product.name, str(registered.facts.get("window"))
    promoted = next((act for act in acts if act.kind == "promote" and act.record == registered.record), None)
    if promoted is not None:
        return f"it was promoted at {promoted.at[:19]}"
    champion = archive.ledger.champion(name, registered.segment or "")
    if champion is not None and window < str(champion.facts.get("window")):
        newest = f"{name}@{champion.version}, to {champion.facts.get('window')}"
        return f"it is superseded: it learned up to {window}, the champion, {newest}"
    head = archive.head(Place(product=name, stage=Stage.MODEL, partition=_partition(registered)))
    if head is None or head.id != registered.record:
        newer = next((act.version for act in acts if act.kind == "register" and head and act.record == head.id), None)
        return f"it is superseded: {window} was trained again" + (f", as {name}@{newer}" if newer else "")
    return ""


def latest(acts: Sequence[Act]) -> Mapping[str | None, Act]:
    """Return the gate's latest word on each candidate, by its record."""
    return {act.record: act for act in acts if gates_word(act)}


def _registered(acts: Sequence[Act], records: Container[str | None]) -> list[Act]:
    return [act for act in acts if act.kind == "register" and act.record in records]


def _partition(registered: Act) -> str:
    return f"{registered.segment}|{registered.facts.get('window')}"
