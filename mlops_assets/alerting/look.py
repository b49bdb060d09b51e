"""One look at everything: what is wrong now, which alerts that opens and ends, and telling the destinations."""

import fcntl
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from mlops_assets.alerting.alert import Alert, Found, asset_link
from mlops_assets.alerting.automation import Orchestrator, daemon_alerts, overdue_alerts, sensor_alerts
from mlops_assets.alerting.changes import changes
from mlops_assets.alerting.decided import decision_alerts
from mlops_assets.alerting.delivery import Tries, deliver
from mlops_assets.alerting.heads import current_heads
from mlops_assets.alerting.history import History
from mlops_assets.alerting.notifier import Notifier
from mlops_assets.alerting.runs import Runs, followed, run_alerts, settled
from mlops_assets.alerting.serving import deployment_alerts, rollback_alerts, unsealed_alerts
from mlops_assets.alerting.spending import spending_alerts
from mlops_assets.alerting.waiting import waiting_alerts
from mlops_assets.alerting.windows import failed_checks, live_alerts, without
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import stamp
from mlops_assets.evidence.records import BrokenEvidence, Struct
from mlops_assets.evidence.store import replace
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import Settings


class Looked(Struct, frozen=True, kw_only=True):
    """What one look leaves for the next: when it was, conditions that have yet to last, runs, how the sending went.

    `present` has the open alerts in their present words, since an alert grows while it is open.
    """

    at: str
    waiting: dict[str, datetime] = msgspec.field(default_factory=dict[str, datetime])
    runs: Runs = Runs()
    tries: dict[str, Tries] = msgspec.field(default_factory=dict[str, Tries])
    present: dict[str, Alert] = msgspec.field(default_factory=dict[str, Alert])


@dataclass(frozen=True, kw_only=True)
class View:
    """What a look sees with: where things are, who says what of runs and sensors, which alerts are open, the time."""

    settings: Settings
    orchestrator: Orchestrator
    runs: Runs
    opened: frozenset[str]
    now: datetime


def look(
    settings: Settings,
    products: Sequence[ModelProduct],
    orchestrator: Orchestrator,
    notifier: Notifier,
    now: datetime,
) -> str:
    """Look once, tell what is new, and return a line about it. Only one process looks at a time.

    Raises:
        BrokenEvidence: If the alerts' own history is not as it was written.
    """
    with _alone(settings.home) as alone:
        if not alone:
            return "another look is under way"
        history, before = History(settings.home), last_look(settings.home)
        history.begin(now)
        runs = settled(followed(before.runs, *orchestrator.runs(before.runs.newest, before.runs.under_way)), now)
        cases = history.cases()
        opened = frozenset(cases.open)
        view = View(settings=settings, orchestrator=orchestrator, runs=runs, opened=opened, now=now)
        found, unseen = _everything(products, view)
        news = changes(found, cases, before.waiting, unseen, now)
        history.change(news.opened, news.ended, now)
        tries = deliver(history, notifier, before.tries, now)
        still = (opened | {alert.id for alert in news.opened}) - set(news.ended)
        present = {each.alert.id: each.alert for each in found if each.alert.id in still}
        after = Looked(at=stamp(now), waiting=dict(news.waiting), runs=runs, tries=tries, present=present)
        replace(_path(settings.home), msgspec.json.encode(after))
        return f"{len(still)} open, {len(news.opened)} new, {len(news.ended)} over"


def last_look(home: Path) -> Looked:
    """Return what the last look left; one without a time if nobody has looked, or its file is unreadable."""
    try:
        return msgspec.json.decode(_path(home).read_bytes(), type=Looked)
    except (FileNotFoundError, msgspec.MsgspecError):  # alerts that are open stay so: they are in the history
        return Looked(at="")


def _everything(products: Sequence[ModelProduct], view: View) -> tuple[list[Found], set[str]]:
    """Return what was found, and the products that could not be looked at; an alert among the found says so."""
    found = list(daemon_alerts(view.orchestrator.heartbeats(), view.now, view.settings.ui_url))
    unseen: set[str] = set()
    for product in products:
        try:
            found += list(_of_product(product, view))
        except (BrokenEvidence, msgspec.MsgspecError, OSError) as problem:
            unseen.add(product.name)
            found.append(Found(alert=_unreadable(product, view.settings, str(problem))))
    return found, unseen


def _of_product(product: ModelProduct, view: View) -> Iterator[Found]:
    archive, name, ui = Archive(view.settings.home), product.name, view.settings.ui_url
    heads = current_heads(archive, name, view.now)
    champions = {s: act.version if (act := archive.ledger.champion(name, s)) else None for s in product.segments}
    explained = {p for stage in heads.values() for p, head in stage.heads.items() if head.failed}
    dismissed = frozenset(act.record for act in archive.ledger.acts(name, "dismiss") if act.record)
    yield from live_alerts(name, without(heads, dismissed), champions, view.opened, ui)
    yield from failed_checks(name, heads, ui)
    yield from run_alerts(view.runs, name, explained, ui)
    yield from decision_alerts(product, view.settings, archive, view.orchestrator.launched)
    yield from waiting_alerts(product, view.settings, archive, view.now)
    yield from deployment_alerts(product, view.settings, archive, view.now)
    yield from rollback_alerts(product, view.settings, archive)
    yield from spending_alerts(product, archive, view.now, ui)
    yield from unsealed_alerts(product, view.settings, archive, heads, view.now)
    yield from sensor_alerts(name, view.orchestrator.sensors(name), view.now, ui)
    yield from overdue_alerts(name, view.orchestrator.overdue(name), ui)


def _unreadable(product: ModelProduct, settings: Settings, problem: str) -> Alert:
    return Alert(
        id=f"{product.name}//unreadable",
        product=product.name,
        segment=None,
        kind="broken evidence",
        severity="error",
        words=problem,
        link=asset_link(settings.ui_url, product.name, Stage.DRIFT),
    )


def _path(home: Path) -> Path:
    return home / "alerts" / "looked.json"


@contextmanager
def _alone(home: Path) -> Generator[bool]:
    """Hold the only right to look, if nobody has it; say whether."""
    path = home / "alerts" / "looking.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
