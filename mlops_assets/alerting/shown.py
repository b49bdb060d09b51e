"""The open alerts, and whether anybody looks and listens, for the command line."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mlops_assets.alerting.history import History
from mlops_assets.alerting.look import last_look
from mlops_assets.alerting.messages import Message
from mlops_assets.alerting.notifier import Notifier
from mlops_assets.evidence.ledger import stamp
from mlops_assets.evidence.records import Struct
from mlops_assets.settings import Settings

QUIET = timedelta(minutes=5)  # the sensor looks twice a minute


class OpenAlert(Struct, frozen=True, kw_only=True):
    """An alert that has not ended, in its present words; `told` are the destinations that know of it."""

    id: str
    product: str
    segment: str | None
    kind: str
    severity: str
    since: str
    words: str
    record: str | None
    link: str
    told: list[str]


class Destination(Struct, frozen=True, kw_only=True):
    """Where messages go; `problem` is what the last one failed of."""

    name: str
    problem: str | None


class Shown(Struct, frozen=True, kw_only=True):
    """Open alerts, when somebody last looked, whether that is too long ago, and the destinations."""

    looked_at: str | None
    quiet: bool
    destinations: list[Destination]
    open: list[OpenAlert]


def shown(settings: Settings, names: tuple[str, ...], product: str | None, now: datetime) -> Shown:
    """Return the open alerts of one product, or of all; `names` are the destinations that are set."""
    last = last_look(settings.home)
    cases = History(settings.home).cases().open.values()
    mine = [case for case in cases if product in (None, case.alert.product)]
    found: list[OpenAlert] = []
    for case in mine:
        alert = last.present.get(case.alert.id, case.alert)
        found.append(
            OpenAlert(
                id=alert.id,
                product=alert.product,
                segment=alert.segment,
                kind=alert.kind,
                severity=alert.severity,
                since=stamp(case.opened),
                words=alert.words,
                record=alert.record,
                link=alert.link,
                told=sorted(case.told),
            )
        )
    problems = {name: tries.problem or None for name, tries in last.tries.items()}
    return Shown(
        looked_at=last.at or None,
        quiet=not last.at or now - datetime.fromisoformat(last.at) > QUIET,
        destinations=[Destination(name=name, problem=problems.get(name)) for name in names],
        open=found,
    )


def open_words(settings: Settings, product: str) -> list[str]:
    """Return the open alerts of a product, a line each."""
    found = shown(settings, (), product, datetime.now(UTC)).open
    return [f"{each.segment}: {each.words}" if each.segment else each.words for each in found]


def shown_lines(found: Shown) -> list[str]:
    """Return `shown` for people."""
    lines: list[str] = []
    for each in found.open:
        where = f"{each.product} {each.segment}" if each.segment else each.product
        lines += [f"{each.since[:19]} {each.severity:7} {where}: {each.kind}", f"  {each.words}", f"  {each.link}"]
    lines += [] if found.open else ["no open alert"]
    if found.quiet:
        lines.append(
            f"nobody is looking: the sensor `alerts` last ticked {found.looked_at or 'never'}; mlops-assets up runs it"
        )
    if not found.destinations:
        lines.append("nobody is told: MLOPS_ASSETS_ALERTS names no destination")
    return lines + [f"{each.name} fails: {each.problem}" for each in found.destinations if each.problem]


def tried(notifier: Notifier, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Destination]:
    """Send a test message to every destination, and return what each said of it.

    Raises:
        ValueError: If there is no destination.
    """
    if not notifier.names:
        raise ValueError(
            "MLOPS_ASSETS_ALERTS names no destination; right are apprise URLs: slack://…, mailto://…, json://…"
        )
    test = Message(
        group="test",
        ids=(),
        level="warning",
        title="mlops_assets: a test",
        body=f"A test of this destination, sent at {now():%Y-%m-%d %H:%M:%S} UTC. Nothing is wrong.",
    )
    sent = {name: notifier.send(name, test) for name in notifier.names}
    return [Destination(name=name, problem=problem.words if problem else None) for name, problem in sent.items()]


def tried_lines(found: list[Destination]) -> list[str]:
    """Return `tried` for people."""
    return [f"{each.name}: {each.problem or 'accepted'}" for each in found]
