"""Acts of people on a candidate -> who has agreed, who has not, and what was waived. Pure; in doubt it does not count.

A rejection counts whoever it is from, since it only keeps things as they are. An approval or a waiver counts when it is
signed by a person who has that key and that role today, is about this very record, not older than it, and in force.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import canonical, digest
from mlops_assets.evidence.signed import KEY, id_of, name_of, proof_of
from mlops_assets.registry.gate import Verdict, Waiver
from mlops_assets.registry.people.people import WAIVER, People
from mlops_assets.rules import Approval

ROLE, UNTIL, CRITERION, ASKED_BY = "role", "until", "criterion", "asked_by"  # facts of acts
BY_HAND = ("approve", "reject", "waive", "adopt")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A candidate: its product and record, when that was made, and who asked for its training, by name and by key."""

    product: str
    record: str
    made: datetime
    asked_by: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """An approval that counts until `until`; `act` is the id of its entry."""

    role: str
    by: str
    until: datetime
    act: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a candidate stands: who rejected it, who agreed, which roles are missing, what does not count and why.

    `spare` are those who agreed in a role that another one fills.
    """

    rejected: str = ""
    agreed: tuple[Agreed, ...] = ()
    spare: tuple[Agreed, ...] = ()
    missing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nobody has to agree any more, and nobody rejected it."""
        return not (self.rejected or self.missing)


def about(acts: Sequence[Act], case: Case) -> list[Act]:
    """Return the acts of people on the very record of `case`."""
    return [a for a in acts if a.kind in BY_HAND and (a.product, a.record) == (case.product, case.record)]


def considered(acts: Sequence[Act], case: Case) -> str:
    """Return a hash that changes with the acts of people on a candidate."""
    return digest(canonical([id_of(act) for act in about(acts, case)]))


def standing(acts: Sequence[Act], people: People, approval: Approval | None, case: Case, now: datetime) -> Standing:
    """Return where a candidate stands at `now`; without `approval` nobody has to agree.

    One person fills one role: of several approvals of one person the newest counts. Nobody fills a role who asked for
    the training, adopted the model or waived a criterion.
    """
    mine = about(acts, case)
    adopters = {who for act in mine if act.kind == "adopt" for who in identities(act)}
    case = replace(case, asked_by=case.asked_by | adopters)
    against = next((act for act in mine if act.kind == "reject"), None)
    rejected = f"rejected by {against.by} at {against.at[:19]}: {against.reason}" if against else ""
    if approval is None:
        return Standing(rejected=rejected)
    waived_by = {act.by for act, _ in _waivers(acts, people, case, now)}
    counted: dict[str, Agreed] = {}
    ignored: list[str] = []
    for act in mine:
        if act.kind != "approve":
            continue
        role = str(act.facts.get(ROLE))
        if problem := _problem(act, people, role, case, now) or _conflict(act, approval, role, case, waived_by, now):
            ignored.append(f"the approval of {act.by} of {act.at[:19]} does not count: {problem}")
        else:
            counted[act.by] = Agreed(role=role, by=act.by, until=_end(act, approval.expires), act=id_of(act))
    filled = {each.role: each for each in sorted(counted.values(), key=lambda each: each.until)}
    return Standing(
        rejected=rejected,
        spare=tuple(each for each in counted.values() if each not in filled.values()),
        agreed=tuple(filled[role] for role in approval.roles if role in filled),
        missing=tuple(role for role in approval.roles if role not in filled),
        ignored=tuple(ignored),
    )


def waivers(acts: Sequence[Act], people: People, case: Case, now: datetime) -> Mapping[str, Waiver]:
    """Return what is waived for a candidate at `now`, by criterion: the waiver that lasts longest."""
    found: dict[str, Waiver] = {}
    for act, until in _waivers(acts, people, case, now):
        name = str(act.facts.get(CRITERION))
        if name not in found or found[name].until < until:
            found[name] = Waiver(name=name, by=act.by, reason=act.reason, until=until)
    return found


def _waivers(acts: Sequence[Act], people: People, case: Case, now: datetime) -> Iterator[tuple[Act, datetime]]:
    """Yield every waiver in force, also one that another outlasts, and when it ends."""
    for act in about(acts, case):
        until = _time(act.facts.get(UNTIL)) if act.kind == "waive" else None
        if until is not None and now < until and not _problem(act, people, WAIVER, case, now):
            yield act, until


def agreed(verdict: Verdict, found: Standing) -> Verdict:
    """Return what becomes of the gate's verdict: a rejected candidate is refused, one that lacks a role waits."""
    if verdict.answer in ("keep", "superseded"):
        return verdict
    if found.rejected:
        return replace(verdict, answer="refuse", reasons=(found.rejected, *verdict.reasons))
    if not verdict.promote:
        return verdict
    by = tuple(f"{each.by} agreed as {each.role}" for each in found.agreed)
    if found.missing:
        waits = f"waits for {' and '.join(found.missing)} to approve"
        return replace(verdict, answer="wait", reasons=(waits, *by, *found.ignored, *verdict.reasons))
    return replace(verdict, reasons=(*verdict.reasons, *by))


def unsound(acts: Sequence[Act], records: Sequence[str]) -> Iterator[Act]:
    """Yield the acts of people on `records` that are neither signed as they say nor marked as asserted."""
    for act in acts:
        if act.kind in BY_HAND and act.record in records and proof_of(act) == "broken":
            yield act


def identities(act: Act) -> tuple[str, ...]:
    """Return whose act it is: the name, signed or asserted, and the key if there is one."""
    key = act.facts.get(KEY)
    return (name_of(act.by), key) if isinstance(key, str) else (name_of(act.by),)


def asked_by(registered: Act | None) -> frozenset[str]:
    """Return who asked for a training by hand, by name and by key, as the model's registration has it."""
    found = registered.facts.get(ASKED_BY) if registered else None
    return frozenset(msgspec.convert(found or [], list[str]))


def _problem(act: Act, people: People, role: str, case: Case, now: datetime) -> str:
    """Return why what a person signed does not count, or nothing if it does."""
    proof, at = proof_of(act), _time(act.at)
    if proof != "signed":
        return "it is asserted, not signed" if proof == "asserted" else "it is not signed by the key that it names"
    if at is None or at > now:
        return "it is dated in the future" if at else f"{act.at!r} is no time"
    if at < case.made:
        return "it is older than the model's record"
    return people.objection(act.by, str(act.facts.get(KEY)), role)


def _conflict(act: Act, approval: Approval, role: str, case: Case, waived_by: set[str], now: datetime) -> str:
    if role not in approval.roles:
        return f"{role!r} is no role of `approval:` ({', '.join(approval.roles)})"
    if now >= (end := _end(act, approval.expires)):
        return f"it expired at {end:%Y-%m-%dT%H:%M:%S}"
    if case.asked_by.intersection(identities(act)):
        return "who asked for a model does not approve it"
    return "who waived a criterion does not approve the candidate" if act.by in waived_by else ""


def _end(act: Act, expires: timedelta) -> datetime:
    """Return when an approval ends: as it says, or sooner if what is declared by now is shorter."""
    declared, said = datetime.fromisoformat(act.at) + expires, _time(act.facts.get(UNTIL))
    return min(declared, said) if said else declared


def _time(text: object) -> datetime | None:
    """Return a time with its zone; None for anything else."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
