"""A person's say about a candidate: approve, reject, waive; entered in the ledger, and decided on again at once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.signed import new_key, proof_of
from mlops_assets.operations.foreground import foreground
from mlops_assets.operations.watch import gate_answer
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.acting import Desk, Signer, act_on, approving, enter, signer, statement, waiving
from mlops_assets.registry.people.approvals import ROLE, UNTIL, Standing
from mlops_assets.registry.people.people import FILE, Name, read_people
from mlops_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What was done, in lines, and whether it came to what was wanted."""

    lines: tuple[str, ...]
    good: bool = True


def make_key(settings: Settings, name: str, file: Path) -> Iterator[str]:
    """Write a private key and yield the line for the people file.

    Raises:
        ValueError: If the name is none, or the file is there already.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter[str](Name).validate_python(name)
    except ValidationError as problem:
        raise ValueError(f"{name!r} is no name; right are small letters and digits, a letter first") from problem
    public = new_key(file)
    yield f'  {name}: {{key: "{public}", roles: []}}'
    yield f"put this line below `people:` in {settings.defs / FILE}, with the roles, and have it reviewed;"
    yield f"{file} is the private key: it stays with {name}"


def approve(
    settings: Settings, ref: str, *, role: str | None, reason: str, key: Path | None, printed: bool
) -> Answered:
    """Enter an approval; when the last role has agreed, the candidate is judged again and deployed.

    Raises:
        LookupError: If there is no such product or version.
        ValueError: If nothing can come of it; it says why.
    """
    desk, version, who = _desk(settings, ref, key)
    act = act_on(desk, version, "approve", reason, approving(desk, role, who), who)
    if printed:
        return _statement(act, who)
    where = enter(desk, act)
    if proof_of(act) == "asserted":
        said = f"{ref}: noted, but {act.by} fills no role: without --key FILE nothing proves who it is"
        return Answered(lines=(said, _missing(ref, where)), good=False)
    agreed = f"{ref}: {act.by} agrees as {act.facts[ROLE]}, until {str(act.facts[UNTIL])[:16]} UTC ({reason})"
    if not where.complete:
        return Answered(lines=(agreed, _missing(ref, where)))
    return decided(settings, desk.archive, desk.product, act, agreed)


def reject(settings: Settings, ref: str, *, reason: str, key: Path | None, printed: bool) -> Answered:
    """Enter a rejection: the candidate is never promoted.

    Raises:
        LookupError: If there is no such product or version.
        ValueError: If it is too late, or it was rejected before.
    """
    desk, version, who = _desk(settings, ref, key)
    act = act_on(desk, version, "reject", reason, {}, who)
    if printed:
        return _statement(act, who)
    enter(desk, act)
    answer = decided(settings, desk.archive, desk.product, act, f"{ref}: rejected by {act.by} ({reason})")
    return Answered(lines=answer.lines)


def waive(settings: Settings, ref: str, *, criterion: str, until: str, reason: str, key: Path | None) -> Answered:
    """Enter a waiver of a criterion of the gate for one candidate, which is then judged again.

    Raises:
        LookupError: If there is no such product, version or criterion.
        ValueError: If nothing can come of it; it says why.
    """
    desk, version, who = _desk(settings, ref, key)
    act = act_on(desk, version, "waive", reason, waiving(desk, criterion, until), who)
    enter(desk, act)
    if proof_of(act) == "asserted":
        said = f"{ref}: noted, but {act.by} waives nothing: without --key FILE nothing proves who it is"
        return Answered(lines=(said,), good=False)
    waived = f"{ref}: {criterion} is waived by {act.by} until {str(act.facts[UNTIL])[:16]} UTC ({reason})"
    answer = decided(settings, desk.archive, desk.product, act, waived)
    return Answered(lines=answer.lines)


def _desk(settings: Settings, ref: str, key: Path | None) -> tuple[Desk, int, Signer]:
    found = re.fullmatch(r"([a-z][a-z0-9_]*)@(\d+)", ref)
    if found is None:
        raise ValueError(f"{ref!r} is no candidate; right is product@version, such as loans@3")
    people = read_people(settings.defs)
    product = read_catalogue(settings.defs).product(found[1])
    desk = Desk(archive=Archive(settings.home), product=product, people=people, now=datetime.now(UTC))
    return desk, int(found[2]), signer(people, key)


def _statement(act: Act, who: Signer) -> Answered:
    if who.key is None:
        raise ValueError("--print prints a signed statement; right is --print with --key FILE")
    return Answered(lines=(statement(act),))


def _missing(ref: str, where: Standing) -> str:
    return f"{ref}: waits for {' and '.join(where.missing)} to approve"


def decided(settings: Settings, archive: Archive, product: ModelProduct, act: Act, first: str) -> Answered:
    """Have the candidate of `act` judged again, and say what came of it, after the line `first`."""
    name, registered = product.name, archive.ledger.version(product.name, act.version or 0)
    partition = f"{act.segment}|{registered.facts['window'] if registered else ''}"
    if paused := archive.ledger.paused(name):
        return Answered(lines=(first, f"{name} is paused ({paused.reason}); decided on once it is resumed"), good=False)
    ran = foreground(settings).run(f"{name}_decide", partition)
    champion = archive.ledger.champion(name, act.segment or "")
    if champion is not None and champion.record == act.record:
        state = "deployed" if ran.success else f"not deployed: {'; '.join(ran.problems)}"
        return Answered(lines=(first, f"{name}[{act.segment}]: champion {act.version}, {state}"), good=ran.success)
    said = gate_answer(archive, product, partition) if ran.success else "; ".join(ran.problems)
    return Answered(lines=(first, f"{name}@{act.version}: {said}"), good=said.startswith(("wait", "ramp")))
