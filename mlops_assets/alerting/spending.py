"""What was spent lately -> an alert for each limit of the declaration that is exceeded."""

from collections.abc import Iterator
from datetime import datetime

from mlops_assets.alerting.alert import Alert, Found, asset_link
from mlops_assets.costs.budget import budget
from mlops_assets.costs.spent import spent
from mlops_assets.evidence.archive import Archive
from mlops_assets.product import ModelProduct


def spending_alerts(product: ModelProduct, archive: Archive, now: datetime, ui_url: str) -> Iterator[Found]:
    """Yield an alert per limit that is exceeded; it is over once enough of what was spent is long enough ago."""
    if product.spending is None:
        return
    found = budget(product.spending, spent(archive, product.name), now)
    for each in found.exceeded:
        yield Found(
            alert=Alert(
                id=f"{product.name}//spending/{each.kind}",
                product=product.name,
                segment=None,
                kind="over budget",
                severity="warning",
                words=f"{each.words} were used in the last {found.days:g} days; mlops-assets costs {product.name}",
                link=asset_link(ui_url, product.name, "costs"),
            )
        )
