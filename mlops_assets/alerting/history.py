"""The alerts that were opened, ended and told, in a hash-chained file: what makes each be told once, over restarts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from mlops_assets.alerting.alert import Alert
from mlops_assets.evidence.chain import Chain
from mlops_assets.evidence.ledger import stamp
from mlops_assets.evidence.records import Struct


class Entry(Struct, frozen=True, kw_only=True):
    """One line: the history began, an alert was opened, ended, or the state of some was told to a destination."""

    kind: Literal["began", "opened", "ended", "told"]
    at: str
    alert: Alert | None = None
    ids: tuple[str, ...] = ()
    to: str | None = None
    group: str | None = None


@dataclass(kw_only=True)
class Case:
    """An alert from its opening to its end; `told` and `told_end` are the destinations that know of each."""

    alert: Alert
    opened: datetime
    ended: datetime | None = None
    told: set[str] = field(default_factory=set[str])
    told_end: set[str] = field(default_factory=set[str])


@dataclass(kw_only=True)
class Cases:
    """The newest case of every alert by its id, when the history began, and when a group was last told to whom."""

    began: datetime | None = None
    by_id: dict[str, Case] = field(default_factory=dict[str, Case])
    told: dict[tuple[str, str], datetime] = field(default_factory=dict["tuple[str, str]", datetime])

    @property
    def open(self) -> dict[str, Case]:
        """The alerts that have not ended."""
        return {id_: case for id_, case in self.by_id.items() if case.ended is None}


class History:
    """All entries of a deployment."""

    def __init__(self, home: Path) -> None:
        """Use `alerts/history.jsonl` under `home`, which appears with the first entry."""
        self._chain = Chain(home / "alerts" / "history.jsonl")

    def cases(self) -> Cases:
        """Return what the entries come to.

        Raises:
            BrokenEvidence: If a line was changed or removed.
        """
        cases = Cases()
        for link in self._chain.links():
            _follow(cases, msgspec.convert(link.body, Entry))
        return cases

    def begin(self, at: datetime) -> None:
        """Note that somebody looks from now on, once."""
        with self._chain.writing() as links:
            if not links:
                self._chain.append(msgspec.to_builtins(Entry(kind="began", at=stamp(at))))

    def change(self, opened: Iterable[Alert], ended: Iterable[str], at: datetime) -> None:
        """Note which alerts are new, and which have ended."""
        entries = [Entry(kind="opened", at=stamp(at), alert=alert) for alert in opened]
        if ids := tuple(ended):
            entries.append(Entry(kind="ended", at=stamp(at), ids=ids))
        self._add(entries)

    def told(self, ids: Iterable[str], to: str, group: str, at: datetime) -> None:
        """Note that a destination knows how these alerts are."""
        self._add([Entry(kind="told", at=stamp(at), ids=tuple(ids), to=to, group=group)])

    def _add(self, entries: list[Entry]) -> None:
        if entries:
            with self._chain.writing():
                for entry in entries:
                    self._chain.append(msgspec.to_builtins(entry))


def _follow(cases: Cases, entry: Entry) -> None:
    at = datetime.fromisoformat(entry.at)
    if entry.kind == "began":
        cases.began = at
    elif entry.alert is not None:
        cases.by_id[entry.alert.id] = Case(alert=entry.alert, opened=at)
    for id_ in entry.ids:
        case = cases.by_id[id_]
        if entry.kind == "ended":
            case.ended = at
        elif entry.to is not None:
            case.told.add(entry.to)
            if case.ended is not None:
                case.told_end.add(entry.to)
    if entry.to is not None and entry.group is not None:
        cases.told[entry.to, entry.group] = at
