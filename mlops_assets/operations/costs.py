"""What the command `costs` shows: one product, or all of them with sums by team and project."""

from datetime import UTC, datetime

from mlops_assets.catalogue import read_catalogue
from mlops_assets.costs.rollup import Costs, costs
from mlops_assets.evidence.archive import Archive
from mlops_assets.settings import Settings


def all_costs(settings: Settings, name: str | None, since: str | None) -> list[Costs]:
    """Return the costs of one product, or of all that can be loaded.

    Raises:
        LookupError: If there is no such product.
        ValueError: If `since` is no time.
        BrokenEvidence: If evidence is missing or changed.
    """
    catalogue = read_catalogue(settings.defs)
    products = [catalogue.product(name)] if name else list(catalogue.products.values())
    archive, now, first = Archive(settings.home), datetime.now(UTC), _moment(since) if since else None
    return [costs(product, archive, now, since=first) for product in products]


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ValueError(f"--since {text!r} is no time; right is ISO 8601, such as 2026-02-01") from problem
    return found if found.tzinfo else found.replace(tzinfo=UTC)
