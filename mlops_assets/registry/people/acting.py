"""What a person wants done with a candidate -> the act, signed if there is a key, checked and entered in the ledger."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import Json, Place, canonical
from mlops_assets.evidence.signed import KEY, id_of, person, proof_of, public_text, read_key, sign
from mlops_assets.evidence.traffic import gates_word
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.criteria.declared import WAIVABLE, declared
from mlops_assets.registry.people.approvals import CRITERION, ROLE, UNTIL, Standing, standing, waivers
from mlops_assets.registry.people.pending import case_of, moot
from mlops_assets.registry.people.people import WAIVER, People

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Kind = Literal["approve", "reject", "waive"]
SKEW = timedelta(minutes=5)  # by which the clock of a signer's machine may be ahead
DONE = {"approve": "approved", "reject": "rejected", "waive": "given a waiver"}


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who acts: by name with a key, or the operating system's user without one."""

    name: str
    key: "Ed25519PrivateKey | None" = None

    def acted(self, act: Act) -> Act:
        """Return `act` as this person's, signed if there is a key."""
        mine = msgspec.structs.replace(act, by=self.name)
        return sign(mine, self.key) if self.key else mine


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What acts on a product's candidates are made of, at `now`."""

    archive: Archive
    product: ModelProduct
    people: People
    now: datetime

    @property
    def acts(self) -> list[Act]:
        """The acts on the product so far."""
        return self.archive.ledger.acts(self.product.name)


def signer(people: People, file: Path | None) -> Signer:
    """Return who acts with the key in `file`; None for no key.

    Raises:
        ValueError: If it is no key, or nobody's.
    """
    if file is None:
        return Signer(name=person())
    key = read_key(file)
    name = people.name_of(public_text(key))
    if name is None:
        why = people.problem or "put the line that `mlops-assets key` printed into people.yaml"
        raise ValueError(f"{file}: nobody in people.yaml has this key; {why}")
    return Signer(name=name, key=key)


def act_on(desk: Desk, version: int, kind: Kind, reason: str, facts: dict[str, Json], who: Signer) -> Act:
    """Return the act of `who` on a version; it names the decision that it answers, too. Nothing is entered yet.

    Raises:
        LookupError: If there is no such version.
        ValueError: If nothing can come of it; it says why.
    """
    registered = _open(desk, version, kind)
    decision = desk.archive.head(
        Place(
            product=desk.product.name,
            stage=Stage.CHAMPION,
            partition=f"{registered.segment}|{registered.facts.get('window')}",
        )
    )
    return who.acted(
        Act(
            kind=kind,
            product=desk.product.name,
            segment=registered.segment,
            version=registered.version,
            record=registered.record,
            by="",
            reason=reason,
            at=stamp(desk.now),
            facts={**facts, "decision": decision.id if decision else None},
        )
    )


def approving(desk: Desk, role: str | None, who: Signer) -> dict[str, Json]:
    """Return what an approval says beside its reason: the role, and until when it counts.

    Raises:
        ValueError: If nobody has to agree, or the role is unknown or not plain.
    """
    approval = desk.product.approval
    if approval is None:
        raise ValueError(f"{desk.product.name} declares no `approval:`; the gate alone decides")
    person = desk.people.by_name.get(who.name)
    mine = [each for each in approval.roles if person is None or each in person.roles]
    if role is None and len(mine) != 1 and who.key is None:
        raise ValueError(f"without a key nobody knows that you are {who.name}; right is --key FILE, made by `key`")
    if role is None and len(mine) != 1:
        found = f"{who.name} has {' and '.join(mine) or 'none'} of the roles {', '.join(approval.roles)}"
        raise ValueError(f"{found}; right is --role with one of one's own")
    chosen = role or mine[0]
    if chosen not in approval.roles:
        raise ValueError(f"no role {chosen!r} has to agree; roles: {', '.join(approval.roles)}")
    return {ROLE: chosen, UNTIL: stamp(desk.now + approval.expires)}


def waiving(desk: Desk, criterion: str, until: str) -> dict[str, Json]:
    """Return what a waiver says beside its reason; a date counts to its end, in UTC.

    Raises:
        LookupError: If there is no such criterion.
        ValueError: If `until` is no time, or over.
    """
    known = [name for name in declared(desk.product) if name in WAIVABLE]
    if criterion not in known:
        listed = ", ".join(known) or f"none; {desk.product.name} declares none that can be waived"
        raise LookupError(f"no criterion {criterion!r}; criteria: {listed}")
    end = _end(until)
    if end <= desk.now:
        raise ValueError(f"--until {until} is over; right is a time to come")
    return {CRITERION: criterion, UNTIL: stamp(end)}


def pasted(desk: Desk, version: int, kind: Kind, statement: str) -> Act:
    """Return the signed act in `statement`, which is what `--print` printed.

    Raises:
        LookupError: If there is no such version.
        ValueError: If it is none, or about something else.
    """
    try:
        act = msgspec.json.decode(statement.strip(), type=Act)
    except msgspec.DecodeError as problem:
        raise ValueError(f"no signed statement ({problem}); right is what `approve --print` prints") from problem
    registered = _open(desk, version, kind)
    wanted, found = (desk.product.name, version, kind), (act.product, act.version, act.kind)
    if found != wanted or act.record != registered.record:
        said = f"{act.kind} {act.product}@{act.version}, record {str(act.record)[:12]}"
        raise ValueError(f"the statement says {said}; right is {kind} {desk.product.name}@{version}")
    if proof_of(act) != "signed":
        raise ValueError("the statement is not signed by the key that it names; paste it whole, as it was printed")
    if datetime.fromisoformat(act.at) > desk.now + SKEW:
        raise ValueError(f"the statement is of {act.at}, and it is {stamp(desk.now)}; one of the clocks is wrong")
    return act


def enter(desk: Desk, act: Act) -> Standing:
    """Enter an act and return where the candidate stands then. One that was entered before changes nothing.

    Raises:
        ValueError: If it is signed, and does not count; it says why, and nothing is entered.
    """
    acts, at = desk.acts, max(desk.now, datetime.fromisoformat(act.at))
    registered = next(each for each in acts if each.kind == "register" and each.record == act.record)
    case, approval = case_of(desk.archive.held(str(act.record)), registered), desk.product.approval
    after = standing([*acts, act], desk.people, approval, case, at)
    if proof_of(act) == "signed" and act.kind == "approve":
        agreed = standing(acts, desk.people, approval, case, at).agreed
        if taken := next(
            (each.role for each in agreed if each.by == act.by and each.role != act.facts.get(ROLE)), None
        ):
            raise ValueError(f"{act.by} agreed as {taken} already; each role is another person's")
        if all(each.by != act.by for each in (*after.agreed, *after.spare)):
            raise ValueError(after.ignored[-1])
    if proof_of(act) == "signed" and act.kind == "waive" and not waivers([act], desk.people, case, at):
        problem = desk.people.objection(act.by, str(act.facts.get(KEY)), WAIVER)
        raise ValueError(problem or "the waiver is older than the model's record")
    if all(id_of(each) != id_of(act) for each in acts):
        desk.archive.ledger.add(act)
    return after


def statement(act: Act) -> str:
    """Return a signed act as one line to paste."""
    return canonical(act).decode()


def _open(desk: Desk, version: int, kind: Kind) -> Act:
    """Return the registration of a version on which people may still act."""
    name, acts = desk.product.name, desk.acts
    known = [act for act in acts if act.kind == "register"]
    registered = next((act for act in known if act.version == version), None)
    if registered is None:
        listed = ", ".join(str(act.version) for act in known) or "none"
        raise LookupError(f"no version {name}@{version}; known versions: {listed}")
    why = moot(desk.archive, desk.product, registered, acts)
    latest = next((act for act in reversed(acts) if gates_word(act) and act.record == registered.record), None)
    if not why and kind == "approve" and latest is None:
        why = f"the gate has not judged it yet; materialize {name}/champion"
    if not why and kind == "approve" and latest is not None and latest.kind == "refuse":
        why = f"the gate refused it: {latest.reason}"
    if why:
        raise ValueError(f"{name}@{version} cannot be {DONE[kind]}: {why}")
    return registered


def _end(until: str) -> datetime:
    try:
        if len(until) <= len("2026-01-31"):
            return datetime.combine(date.fromisoformat(until) + timedelta(days=1), time(), ZoneInfo("UTC"))
        found = datetime.fromisoformat(until)
    except ValueError as problem:
        raise ValueError(
            f"--until {until!r} is no date; right is 2026-01-31, or 2026-01-31T12:00:00+00:00"
        ) from problem
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo("UTC"))
