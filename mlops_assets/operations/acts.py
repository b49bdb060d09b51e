"""A person's acts on a product: pause, resume, roll back. Each is a ledger entry with who, when and why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, Ledger, moves_of, stamp
from mlops_assets.evidence.signed import person
from mlops_assets.operations.foreground import foreground
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings


def hold(settings: Settings, name: str, *, kind: Literal["pause", "resume"], reason: str) -> str:
    """Pause or resume the retraining and promotion of a product, and return what was done."""
    product = read_catalogue(settings.defs).product(name)
    ledger = Archive(settings.home).ledger
    if (ledger.paused(name) is not None) == (kind == "pause"):
        return f"{name} is {'already paused' if kind == 'pause' else 'not paused'}; nothing to do"
    act = Act(kind=kind, product=product.name, by=person(), reason=reason, at=stamp(datetime.now(UTC)))
    ledger.add(act)
    return f"{name}: {'paused; serving goes on' if kind == 'pause' else 'resumed'} ({reason})"


def roll_back(settings: Settings, name: str, *, to: int | None, segment: str | None, reason: str) -> Iterator[str]:
    """Make an earlier version champion again, deploy it, and yield what was done.

    Raises:
        LookupError: If the segment, the version, or an earlier champion does not exist.
    """
    product = read_catalogue(settings.defs).product(name)
    if segment is not None and segment not in product.segments:
        raise LookupError(f"no segment {segment!r}; known segments: {', '.join(product.segments)}")
    ledger = Archive(settings.home).ledger
    moved = [_moved(ledger, product, s, to, reason) for s in ([segment] if segment else product.segments)]
    if not any(moved):
        raise LookupError(
            f"{name}: nothing to roll back to: no segment has had {f'version {to}' if to else 'two champions'}"
        )
    yield from (line for line in moved if line)
    ran = foreground(settings).run(f"{name}_deploy", None)
    yield "deployed" if ran.success else f"not deployed: {'; '.join(ran.problems)}"


def _moved(ledger: Ledger, product: ModelProduct, segment: str, to: int | None, reason: str) -> str | None:
    current = ledger.champion(product.name, segment)
    if current is None:
        return None
    held = moves_of(ledger.acts(product.name), segment)
    wanted = to if to is not None else ledger.predecessor(product.name, segment)
    target = next((act for act in reversed(held) if act.version == wanted), None)
    if target is None or target.version == current.version:
        return None
    ledger.move_champion(
        Act(
            kind="rollback",
            product=product.name,
            segment=segment,
            version=target.version,
            record=target.record,
            by=person(),
            reason=reason,
            at=stamp(datetime.now(UTC)),
            facts=target.facts,
        ),
        expected=current.version,
    )
    unasked = product.approval is not None and not target.facts.get("approvals")
    note = f"; nobody was asked to approve {product.name}@{target.version} when it was promoted" if unasked else ""
    return f"{product.name}[{segment}]: champion {current.version} -> {target.version} ({reason}){note}"
