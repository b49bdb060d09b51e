"""Cases that a destination does not know of -> the messages that tell it: one per product, segment and kind. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from mlops_assets.alerting.alert import EVERYTHING, Alert
from mlops_assets.alerting.history import Case, Cases
from mlops_assets.evidence.records import Struct

APART = timedelta(minutes=5)  # between two messages of one group to one destination: what comes in between is gathered
STALE = timedelta(days=1)  # nobody is told of an end that is older
SHOWN = 3  # alerts of a group that are written out


class Message(Struct, frozen=True, kw_only=True):
    """What is sent; `ids` are the alerts that it tells of."""

    group: str
    ids: tuple[str, ...]
    level: Literal["error", "warning", "over"]
    title: str
    body: str


def untold(cases: Cases, to: str, now: datetime) -> list[Message]:
    """Return the messages that the destination `to` should get now, the oldest news first."""
    groups: dict[str, list[Case]] = {}
    for case in cases.by_id.values():
        if _is_news(case, to, now):
            groups.setdefault(case.alert.group, []).append(case)
    return [_message(group, news) for group, news in groups.items() if not _too_soon(cases.told, to, group, now)]


def _is_news(case: Case, to: str, now: datetime) -> bool:
    if case.ended is None:
        return to not in case.told
    return to not in case.told_end and now - case.ended < STALE


def _too_soon(told: Mapping[tuple[str, str], datetime], to: str, group: str, now: datetime) -> bool:
    last = told.get((to, group))
    return last is not None and timedelta(0) <= now - last < APART  # a clock that was set back holds nothing up


def _message(group: str, news: Sequence[Case]) -> Message:
    first = news[0].alert
    going_on = [case.alert for case in news if case.ended is None]
    level = ("error" if any(a.severity == "error" for a in going_on) else "warning") if going_on else "over"
    where = " ".join([_product(first), *([first.segment] if first.segment else [])])
    count = f" ({len(news)})" if len(news) > 1 else ""
    over = "" if going_on else " is over"
    return Message(
        group=group,
        ids=tuple(case.alert.id for case in news),
        level=level,
        title=f"{where}: {first.kind}{count}{over}",
        body="\n\n".join(_paragraphs(news)),
    )


def _paragraphs(news: Sequence[Case]) -> Iterator[str]:
    shown = [*news[: SHOWN - 1], news[-1]] if len(news) > SHOWN else news
    for case in shown:
        state = "" if case.ended is None else "over: "
        evidence = f"evidence: record {case.alert.record[:16]}\n" if case.alert.record else ""
        yield f"{state}{case.alert.words}\n{evidence}{case.alert.link}"
    if len(news) > len(shown):
        yield f"and {len(news) - len(shown)} more: mlops-assets alerts{_filter(news[0].alert)}"


def _product(alert: Alert) -> str:
    return "all products" if alert.product == EVERYTHING else alert.product


def _filter(alert: Alert) -> str:
    return "" if alert.product == EVERYTHING else f" {alert.product}"
