"""What a person wants of a product's traffic -> the act in the ledger, and the deployment at once, without Dagster."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.ledger import Act, Conflict, Ledger, moves_of, stamp
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.step import NotReady
from mlops_assets.evidence.traffic import (
    CAUSE,
    FROM,
    RAMP,
    Cause,
    VariantName,
    move_traffic,
    traffic_of,
)
from mlops_assets.product import ModelProduct
from mlops_assets.serving.ramp.allowed import candidate_of, champion_of, check_allowed, one_segment, share_of
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL


def set_traffic(
    settings: Settings,
    product: ModelProduct,
    segment: str | None,
    name: VariantName,
    version: int,
    share: float | None,
    *,
    by: str,
    reason: str,
) -> list[str]:
    """Let `version` answer a `share` of a segment's requests, in (0, 1), or get copies as a shadow; say what was done.

    A canary that has passed the gate goes on from there by the declared ramp; any other keeps its share.

    Raises:
        LookupError: If there is no such segment or version.
        ValueError: If it cannot answer there, or the share is none; it says what is right.
        Conflict: If somebody changed who answers in between.
    """
    archive, chosen = Archive(settings.home), one_segment(product, segment)
    acts = archive.ledger.acts(product.name)
    known, champion = candidate_of(product, acts, chosen, version), champion_of(product, acts, chosen)
    check_allowed(settings, archive, product, acts, known, champion, name)
    given = share_of(name, share)
    facts: dict[str, Json] = {
        "variant": name,
        "share": f"{given:.6g}",
        FROM: stamp(product_now(settings.serving(product.name), datetime.now(UTC))),
        **(_passed(acts, known, champion) if name == "canary" else {}),
    }
    before = traffic_of(acts, chosen).get(name)
    act = _act("traffic", known, by, reason, facts)
    move_traffic(archive.ledger, act, expected=before.act if before else None, champion=champion)
    takes = "gets copies of all requests" if name == "shadow" else f"answers {100 * given:.4g}%"
    return [
        f"{product.name}[{chosen}]: version {version} {takes} as {name} ({reason})",
        deploy(settings, product, archive),
    ]


def withdraw(settings: Settings, product: ModelProduct, segment: str | None, *, by: str, reason: str) -> list[str]:
    """End what answers beside the champion, in one segment or in all, and say what was done.

    Raises:
        LookupError: If there is no such segment, or nothing to end.
        Conflict: If somebody changed who answers in between.
    """
    archive = Archive(settings.home)
    segments = [one_segment(product, segment)] if segment else product.segments
    with _deploying(settings, product, archive) as done:
        for each in segments:
            done += _ended(archive.ledger, product, each, by, reason)
    if not done:
        raise LookupError(f"{product.name}: nothing answers beside the champion of {', '.join(segments)}")
    return done


def roll_back(
    settings: Settings, product: ModelProduct, *, to: int | None, segment: str | None, by: str, reason: str
) -> list[str]:
    """Make an earlier version champion again, end what answers beside it, deploy, and say what was done.

    Raises:
        LookupError: If the segment, the version, or an earlier champion does not exist.
        Conflict: If somebody changed who answers in between.
    """
    if segment is not None:
        one_segment(product, segment)
    archive = Archive(settings.home)
    ledger = archive.ledger
    archive.journal.links()  # the deployment has to look at it, and after the act nobody is kept waiting
    with _deploying(settings, product, archive) as done:
        for each in [segment] if segment else product.segments:
            target = _earlier(ledger, product, each, to)
            if target is not None or to is None:
                done += _ended(ledger, product, each, by, reason, besides="shadow")
            done += [_moved(ledger, product, target, by, reason)] if target else []
    if not done:
        raise LookupError(f"{product.name}: nothing to roll back to: {_why_not(ledger, product, segment, to)}")
    return done


def end_variant(
    ledger: Ledger, last: Act, cause: Cause, *, by: str, reason: str, champion: Act | None, stands: bool = True
) -> Act:
    """Append the end of a variant whose latest act is `last`; it `stands`, unless a champion that moved has ended it.

    Raises:
        Conflict: If somebody changed who answers in between.
    """
    kept = {name: last.facts[name] for name in ("variant", "window", RAMP) if name in last.facts}
    act = _act("withdraw", last, by, reason, {**kept, CAUSE: cause})
    return move_traffic(ledger, act, expected=last if stands else None, champion=champion)


def deploy(settings: Settings, product: ModelProduct, archive: Archive | None = None) -> str:
    """Ask the workers to serve what the ledger says, and say so; an `archive` that has read it is the faster."""
    step = EndpointStep(product=product, archive=archive or Archive(settings.home), settings=settings)
    try:
        with step.alone(ALL):
            held = step.make(ALL)
    except NotReady as problem:
        return f"not deployed: {problem}"
    return f"deployment {held.id[:12]}: every worker serves it within a moment"


@contextmanager
def _deploying(settings: Settings, product: ModelProduct, archive: Archive) -> Generator[list[str]]:
    """Gather what the ledger was told, and deploy it at the end, even if somebody else was faster with the rest."""
    done: list[str] = []
    try:
        yield done
    except Conflict as problem:
        raise Conflict("; ".join([*done, str(problem)])) from problem
    finally:
        if done:
            done.append(deploy(settings, product, archive))


def _passed(acts: Sequence[Act], known: Act, champion: Act) -> dict[str, Json]:
    """Return what lets a canary become champion by itself: that the gate let it pass, against the champion of now."""
    begun = [act for act in acts if act.kind == "traffic" and act.by == "gate" and act.record == known.record]
    if not begun or begun[-1].facts.get(RAMP) != champion.record:
        return {}
    return {name: begun[-1].facts[name] for name in ("window", "approvals", RAMP) if name in begun[-1].facts}


def _ended(
    ledger: Ledger, product: ModelProduct, segment: str, by: str, reason: str, besides: VariantName | None = None
) -> Iterator[str]:
    champion = ledger.champion(product.name, segment)
    for name, each in traffic_of(ledger.acts(product.name), segment).items():
        if name == besides and not each.ramped:
            continue
        end_variant(ledger, each.act, "by hand", by=by, reason=reason, champion=champion)
        yield f"{product.name}[{segment}]: version {each.version} is no {name} any more ({reason})"


def _earlier(ledger: Ledger, product: ModelProduct, segment: str, to: int | None) -> Act | None:
    current = ledger.champion(product.name, segment)
    wanted = to if to is not None else ledger.predecessor(product.name, segment)
    moves = moves_of(ledger.acts(product.name), segment)
    target = next((act for act in reversed(moves) if act.version == wanted), None)
    return None if current is None or target is None or target.version == current.version else target


def _why_not(ledger: Ledger, product: ModelProduct, segment: str | None, to: int | None) -> str:
    """Return why no segment has an earlier champion, or one of version `to`, and what may be chosen."""
    acts, said = ledger.acts(product.name), list[str]()
    for each in [segment] if segment else product.segments:
        had = list(dict.fromkeys(act.version for act in moves_of(acts, each)))
        now = ledger.champion(product.name, each)
        others = ", ".join(str(version) for version in had if now is None or version != now.version)
        if now is not None and others and to is None:
            said.append(f"champion {now.version} of {each} is its first; right is --to VERSION, of {others}")
        elif now is not None and to == now.version:
            said.append(f"{each} has champion {to} already")
    return "; ".join(said) or f"no segment has had {f'version {to}' if to else 'two champions'}"


def _moved(ledger: Ledger, product: ModelProduct, target: Act, by: str, reason: str) -> str:
    current = ledger.champion(product.name, target.segment or "")
    version = current.version if current else None
    ledger.move_champion(_act("rollback", target, by, reason, target.facts), expected=version)
    unasked = product.approval is not None and not target.facts.get("approvals")
    note = f"; nobody was asked to approve {product.name}@{target.version} when it was promoted" if unasked else ""
    return f"{product.name}[{target.segment}]: champion {version} -> {target.version} ({reason}){note}"


def _act(kind: str, like: Act, by: str, reason: str, facts: dict[str, Json]) -> Act:
    return msgspec.structs.replace(like, kind=kind, by=by, reason=reason, at=stamp(datetime.now(UTC)), facts=facts)
