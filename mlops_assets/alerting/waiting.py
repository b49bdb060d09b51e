"""Candidates that wait for people -> alerts; each is over once somebody rejected it, or it no longer waits."""

from collections.abc import Iterator
from datetime import datetime

from mlops_assets.alerting.alert import Alert, Found, asset_link
from mlops_assets.evidence.archive import Archive
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.people.pending import pending
from mlops_assets.registry.people.people import read_people
from mlops_assets.settings import Settings


def waiting_alerts(product: ModelProduct, settings: Settings, archive: Archive, now: datetime) -> Iterator[Found]:
    """Yield an alert for each candidate that the gate would promote, and that somebody still has to agree to."""
    for each in pending(archive, product, read_people(settings.defs), now):
        yield Found(
            alert=Alert(
                id=f"{product.name}/{each.segment}/approval/{each.version}",
                product=product.name,
                segment=each.segment,
                kind="a candidate waits for approval",
                severity="warning",
                words=f"{product.name}@{each.version} {each.words}; mlops-assets approve, or reject",
                record=each.record,
                link=asset_link(settings.ui_url, product.name, Stage.CHAMPION, each.partition),
            )
        )
