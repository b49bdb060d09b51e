"""Workers, ledger and log of a product -> alerts: a deployment that nobody serves, rollbacks, unsealed windows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mlops_assets.alerting.alert import Alert, Found, asset_link
from mlops_assets.alerting.heads import Heads, StageHeads
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.traffic import CAUSE
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.seal import closed_windows
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.routing.failed import failure
from mlops_assets.serving.workers import SILENT_S, Worker, workers
from mlops_assets.settings import Settings

RESTART = timedelta(minutes=1)  # a worker that is started again loads its models in that time
SEALING = timedelta(minutes=30)  # many windows may close at once, and runs wait for each other


def deployment_alerts(product: ModelProduct, settings: Settings, archive: Archive, now: datetime) -> Iterator[Found]:
    """Yield an alert if the last deployment failed, or no worker that there is, or was, serves the one wanted."""
    acts = archive.ledger.acts(product.name, "deploy", "fail")
    if acts and (failed := failure(acts, acts[-1].record or "")):
        yield _failed(product, settings, failed)
    folder = settings.serving(product.name)
    wanted, everyone = read_deployment(folder), workers(folder)
    if wanted is None or not everyone:  # nothing to serve yet, or nobody was ever asked to
        return
    live = [w for w, beat in everyone if not w.stopped and now.timestamp() - beat <= SILENT_S]
    if any(worker.deployment == wanted.id for worker in live):
        return
    last = datetime.fromtimestamp(max(beat for _, beat in everyone), tz=UTC)
    refused = any(worker.refused == wanted.id for worker in live)
    yield Found(
        alert=Alert(
            id=f"{product.name}//deployment/{wanted.id[:16] if refused else 'unserved'}",
            product=product.name,
            segment=None,
            kind="failed deployment",
            severity="error",
            words=_unserved(live, wanted.id, last),
            record=wanted.id,
            link=asset_link(settings.ui_url, product.name, Stage.ENDPOINT),
        ),
        after=timedelta(0) if refused else RESTART,
    )


def rollback_alerts(product: ModelProduct, settings: Settings, archive: Archive) -> Iterator[Found]:
    """Yield each rollback, also of a canary by itself; it is over once the segment's champion is another one.

    That of a canary is over once somebody else is tried, too.
    """
    acts = archive.ledger.acts(product.name)
    for place, act in enumerate(acts):
        later = [each.kind for each in acts[place + 1 :] if each.segment == act.segment]
        if act.kind == "rollback":
            words = f"rolled back to version {act.version} by {act.by}: {act.reason}"
            over = "promote" in later or "rollback" in later
        elif act.kind == "withdraw" and act.facts[CAUSE] in ("worse", "failed"):
            words = f"{act.facts['variant']} {act.version} was taken back: {act.reason}"
            over = bool({"promote", "rollback", "traffic"} & set(later))
        else:
            continue
        yield Found(
            alert=Alert(
                id=f"{product.name}/{act.segment}/rollback/{act.at}",
                product=product.name,
                segment=act.segment,
                kind="rollback",
                severity="warning",
                words=words,
                record=act.record,
                link=asset_link(settings.ui_url, product.name, Stage.ENDPOINT),
            ),
            over=over,
            at=datetime.fromisoformat(act.at),
        )


def unsealed_alerts(
    product: ModelProduct, settings: Settings, archive: Archive, heads: Heads, now: datetime
) -> Iterator[Found]:
    """Yield an alert per segment in which a window is closed, and stays without sealed predictions."""
    grace_s = product.monitor.grace.total_seconds()
    closed = closed_windows(settings.serving(product.name), product.grid, now, grace_s)
    sealed = heads.get(Stage.PREDICTIONS.value, StageHeads(0, {})).heads
    for segment in product.segments:
        left = [window for window in closed if f"{segment}|{window}" not in sealed]
        if left and archive.ledger.champion(product.name, segment) is not None:
            more = f" and {len(left) - 1} more are" if len(left) > 1 else " is"
            yield Found(
                alert=Alert(
                    id=f"{product.name}/{segment}/unsealed",
                    product=product.name,
                    segment=segment,
                    kind="stalled automation",
                    severity="error",
                    words=f"{left[0]}{more} closed, but not sealed: no drift is looked for in its traffic",
                    link=asset_link(settings.ui_url, product.name, Stage.PREDICTIONS, f"{segment}|{left[0]}"),
                ),
                after=SEALING,
            )


def _failed(product: ModelProduct, settings: Settings, act: Act) -> Found:
    """Return the alert of a deployment that was taken back; the next one that is asked for ends it."""
    serves = f"{str(act.facts['put_back'])[:12]}… goes on" if act.facts.get("put_back") else "there is none before it"
    return Found(
        alert=Alert(
            id=f"{product.name}//deployment/{(act.record or '')[:16]}",
            product=product.name,
            segment=None,
            kind="failed deployment",
            severity="error",
            words=f"the deployment {(act.record or '')[:12]}… failed: {act.reason}; {serves}",
            record=act.record,
            link=asset_link(settings.ui_url, product.name, Stage.ENDPOINT),
        ),
        at=datetime.fromisoformat(act.at),
    )


def _unserved(live: list[Worker], wanted: str, last: datetime) -> str:
    refused = [worker for worker in live if worker.refused == wanted]
    if refused:
        return f"no worker serves the wanted deployment; {refused[0].url} refused it: {refused[0].error}"
    if live:
        return f"none of the {len(live)} live workers serves the wanted deployment"
    return f"no worker is alive; the last one was heard at {last:%Y-%m-%d %H:%M:%S} UTC"
