"""Who may answer beside a champion: what a person asks for, checked against ledger and declaration."""

from collections.abc import Sequence
from datetime import UTC, datetime

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, moves_of
from mlops_assets.evidence.traffic import VariantName, traffic_of
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.approvals import standing
from mlops_assets.registry.people.pending import case_of
from mlops_assets.registry.people.people import read_people
from mlops_assets.settings import Settings


def one_segment(product: ModelProduct, segment: str | None) -> str:
    """Return the segment that is meant: it may be left out where there is one.

    Raises:
        LookupError: If there is no such segment.
        ValueError: If it is left out where there are several.
    """
    known = ", ".join(product.segments)
    if segment is None and len(product.segments) > 1:
        raise ValueError(f"{product.name} has the segments {known}; right is --segment with one of them")
    if segment is not None and segment not in product.segments:
        raise LookupError(f"no segment {segment!r}; known segments: {known}")
    return segment or next(iter(product.segments))


def candidate_of(product: ModelProduct, acts: Sequence[Act], segment: str, version: int) -> Act:
    """Return the registration of a version of a segment.

    Raises:
        LookupError: If there is no such version.
        ValueError: If it is of another segment.
    """
    known = [act for act in acts if act.kind == "register"]
    found = next((act for act in known if act.version == version), None)
    if found is None:
        listed = ", ".join(str(act.version) for act in known) or "none"
        raise LookupError(f"no version {product.name}@{version}; known versions: {listed}")
    if found.segment != segment:
        mine = ", ".join(str(act.version) for act in known if act.segment == segment) or "none"
        raise ValueError(
            f"{product.name}@{version} is a model of {found.segment}, not of {segment}; versions of {segment}: {mine}"
        )
    return found


def champion_of(product: ModelProduct, acts: Sequence[Act], segment: str) -> Act:
    """Return the act that made the segment's champion what it is.

    Raises:
        ValueError: If there is none yet.
    """
    moves = moves_of(acts, segment)
    if not moves:
        raise ValueError(f"{product.name}[{segment}] has no champion yet: nothing can answer beside it")
    return moves[-1]


def check_allowed(
    settings: Settings,
    archive: Archive,
    product: ModelProduct,
    acts: Sequence[Act],
    known: Act,
    champion: Act,
    name: VariantName,
) -> None:
    """Check that a version may answer, beside the champion and whoever else does.

    Raises:
        ValueError: If it is the champion, rejected or not approved, or the place is taken.
    """
    ref, segment = f"{product.name}@{known.version}", known.segment or ""
    if champion.record == known.record:
        raise ValueError(f"{ref} is the champion of {segment}: it answers already; right is another version")
    for other in traffic_of(acts, segment).values():
        alike = (other.name == "shadow") == (name == "shadow")
        if alike and (other.name, other.version) != (name, known.version):
            end = f"mlops-assets traffic {product.name} --withdraw --segment {segment}"
            raise ValueError(f"{product.name}@{other.version} is the {other.name} of {segment}; right is first {end}")
    if (rejected := archive.ledger.rejected(product.name, known.record)) is not None:
        raise ValueError(f"{ref} was rejected by {rejected.by} at {rejected.at[:19]}: {rejected.reason}")
    served = any(act.record == known.record for act in moves_of(acts, segment))
    if name == "shadow" or served or product.approval is None or known.record is None:
        return
    case = case_of(archive.held(known.record), known)
    where = standing(acts, read_people(settings.defs), product.approval, case, datetime.now(UTC))
    if where.missing:
        raise ValueError(f"{ref} may not answer: it waits for {' and '.join(where.missing)} to approve")


def share_of(name: VariantName, share: float | None) -> float:
    """Return the share of the requests that a variant is to answer, 0 for a shadow.

    Raises:
        ValueError: If it is none, or a shadow is given one.
    """
    if name == "shadow":
        if share is not None:
            raise ValueError("a shadow has no share: it gets copies of all requests, and its answers go nowhere")
        return 0.0
    if share is None or not 0 < share < 1:
        found = "none" if share is None else f"{100 * share:.4g}%"
        raise ValueError(
            f"share of a {name}: found {found}; right is over 0% and under 100% (it ends with --withdraw; the whole "
            "goes to a champion alone)"
        )
    return share
