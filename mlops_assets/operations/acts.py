"""A person's acts on a product: pause, resume, roll back. Each is a ledger entry with who, when and why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.signed import person
from mlops_assets.operations.foreground import foreground
from mlops_assets.serving.ramp.acts import roll_back as moved_back
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
    """Make an earlier version champion again, end what answers beside it, and yield what was done.

    It is served before anything else is done; then Dagster is shown the deployment.

    Raises:
        LookupError: If the segment, the version, or an earlier champion does not exist.
    """
    product = read_catalogue(settings.defs).product(name)
    yield from moved_back(settings, product, to=to, segment=segment, by=person(), reason=reason)
    ran = foreground(settings).run(f"{name}_deploy", None)
    yield "deployed" if ran.success else f"not deployed: {'; '.join(ran.problems)}"
