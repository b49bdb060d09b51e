"""Stored alarms, decisions and acts -> each drift from its first window to its repair, and how long that took. Pure.

A drift is all alarms of one segment, kind and version up to what closed them. Its times are counted by the product's
clock, from the end of the first window found to the verdict, and from the verdict to the promotion. Where traffic is
replayed that clock is another than the wall's; then the wall's counts from the sealing of that window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from mlops_assets.detection.verdict import Kind
from mlops_assets.evidence.ledger import Act, moves_of
from mlops_assets.evidence.records import Struct
from mlops_assets.retraining.stored import Stored

Ending = Literal["open", "repaired", "rolled back", "dismissed"]


class Found(Struct, frozen=True, kw_only=True):
    """An alarm that some decision considered. `sealed` and `judged` are of the wall clock, `end` is the window's."""

    id: str
    segment: str
    kind: Kind
    version: int
    window: str
    end: datetime
    words: str
    sealed: datetime
    judged: datetime


class Took(Struct, frozen=True, kw_only=True):
    """How long something took, in seconds of the product's clock and of the wall's."""

    product_s: float
    wall_s: float


class Drift(Struct, frozen=True, kw_only=True):
    """One drift: `first` to `last` window, and what came of it. Times are ISO 8601; those of `_at` the product's.

    `decision` is the training that answered it, `by` the version or person that ended it, `deployed` when the endpoint
    was asked to serve that version.
    """

    segment: str
    kind: Kind
    version: int
    first: str
    last: str
    windows: int
    words: str
    alarms: list[str]
    ending: Ending
    detected_at: str
    judged: str
    decision: str | None = None
    by: str | None = None
    ended: str | None = None
    deployed: str | None = None
    detect: Took
    repair: Took | None = None


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean times over drifts, in seconds of the product's clock; None where there are none."""

    to_detect_s: float | None
    to_repair_s: float | None


def drifts(found: Sequence[Found], decisions: Sequence[Stored], acts: Sequence[Act]) -> list[Drift]:
    """Return the drifts that `found` alarms belong to, oldest first."""
    groups: dict[tuple[str, str, int, str], list[Found]] = {}
    closings: dict[str, Act | None] = {}
    for alarm in sorted(found, key=lambda each: (each.judged, each.end, each.id)):
        closed = _closed(alarm, acts)
        by = f"{closed.kind} {closed.at}" if closed else "open"  # one command dismisses all of a drift's alarms at once
        closings[by] = closed
        groups.setdefault((alarm.segment, alarm.kind, alarm.version, by), []).append(alarm)
    made = [_drift(group, closings[key[3]], decisions, acts) for key, group in groups.items()]
    return sorted(made, key=lambda drift: (drift.detected_at, drift.segment, drift.kind))


def mean(found: Sequence[Drift]) -> Mean:
    """Return the mean time to detect of all drifts, and to repair of those that a new version ended."""
    detect = [drift.detect.product_s for drift in found]
    repair = [drift.repair.product_s for drift in found if drift.repair is not None]
    return Mean(
        to_detect_s=round(sum(detect) / len(detect), 3) if detect else None,
        to_repair_s=round(sum(repair) / len(repair), 3) if repair else None,
    )


def _closed(alarm: Found, acts: Sequence[Act]) -> Act | None:
    """Return the dismissal of the alarm, or the first change of champion away from its version after the verdict."""
    for act in acts:
        if act.kind == "dismiss" and act.record == alarm.id:
            return act
    moves = moves_of(acts, alarm.segment)
    away = [new for old, new in pairwise(moves) if old.version == alarm.version != new.version]
    later = (act for act in away if datetime.fromisoformat(act.at) >= alarm.judged)
    replaced = bool(away) and moves[-1].version != alarm.version  # so it is closed, whatever the clock said
    return next(later, away[-1] if replaced else None)


def _drift(group: list[Found], ended: Act | None, decisions: Sequence[Stored], acts: Sequence[Act]) -> Drift:
    first, ids = group[0], {alarm.id for alarm in group}
    naming = [each for each in decisions if ids & {*each.considered, *each.alarms}]
    detected = _product_time(first.judged, naming)
    answer = _answer(ended, naming, acts)
    repaired = ended is not None and ended.kind == "promote"
    windows = sorted({alarm.window for alarm in group})
    return Drift(
        segment=first.segment,
        kind=first.kind,
        version=first.version,
        first=windows[0],
        last=windows[-1],
        windows=len(windows),
        words=first.words,
        alarms=[alarm.id for alarm in group],
        ending=_ending(ended),
        detected_at=detected.isoformat(timespec="milliseconds"),
        judged=first.judged.isoformat(timespec="milliseconds"),
        decision=answer.id if answer else None,
        by=_by(ended),
        ended=ended.at if ended else None,
        deployed=_deployed(ended, acts) if repaired else None,
        detect=_detect(first, detected),
        repair=_repair(first, detected, datetime.fromisoformat(ended.at), answer) if ended and repaired else None,
    )


def _product_time(wall: datetime, naming: Sequence[Stored]) -> datetime:
    """Return the product's time of the first decision that knew of an alarm if traffic was replayed, else `wall`."""
    first = naming[0] if naming else None
    return datetime.fromisoformat(first.at) if first and first.at != first.decided_at else wall


def _answer(ended: Act | None, naming: Sequence[Stored], acts: Sequence[Act]) -> Stored | None:
    """Return the decision that asked for the version which ended the drift, else the latest yes about it."""
    version = ended.version if ended else None
    asked = [act.facts.get("decision") for act in acts if act.kind == "register" and act.version == version]
    yes = [each for each in naming if each.retrain]
    return next((each for each in yes if each.id in asked), yes[-1] if yes else None)


def _detect(first: Found, detected: datetime) -> Took:
    replayed = detected != first.judged
    wall = (first.judged - (first.sealed if replayed else first.end)).total_seconds()
    return Took(product_s=(detected - first.end).total_seconds(), wall_s=wall)


def _repair(first: Found, detected: datetime, promoted: datetime, answer: Stored | None) -> Took:
    wall = (promoted - first.judged).total_seconds()
    if detected == first.judged or answer is None:
        return Took(product_s=wall, wall_s=wall)
    return Took(product_s=(datetime.fromisoformat(answer.at) - detected).total_seconds(), wall_s=wall)


def _deployed(ended: Act | None, acts: Sequence[Act]) -> str | None:
    """Return when the endpoint was first asked to serve the version that ended a drift."""
    if ended is None or ended.segment is None:
        return None
    later = acts[acts.index(ended) :]
    return next(
        (act.at for act in later if act.kind == "deploy" and act.facts.get(ended.segment) == ended.version), None
    )


def _ending(ended: Act | None) -> Ending:
    if ended is None:
        return "open"
    return "repaired" if ended.kind == "promote" else "rolled back" if ended.kind == "rollback" else "dismissed"


def _by(ended: Act | None) -> str | None:
    if ended is None:
        return None
    return ended.by if ended.kind == "dismiss" else f"{ended.product}@{ended.version}"
