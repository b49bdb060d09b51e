"""Untold alerts -> each destination, once: a message is sent, then noted.

A process killed between the two sends that one message again. A destination that fails gets its messages at the next
look, whatever the others do; one that never answers in time gets a message `UNSURE` times, since it may have had it.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from mlops_assets.alerting.history import History
from mlops_assets.alerting.messages import Message, untold
from mlops_assets.alerting.notifier import Notifier
from mlops_assets.evidence.records import Struct

UNSURE = 3
WITHIN = timedelta(seconds=30)  # Dagster stops a sensor after 60 s


class Tries(Struct, frozen=True, kw_only=True):
    """How often a message to a destination failed, by group, and what its last failure was."""

    failed: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    problem: str = ""


def deliver(
    history: History, notifier: Notifier, tries: Mapping[str, Tries], now: datetime, *, within: timedelta = WITHIN
) -> dict[str, Tries]:
    """Send what the destinations do not know of yet, and return how that went, by destination.

    Those that failed the last time come last, and each is left at its first failure: a dead one holds up nobody.
    """
    deadline = time.monotonic() + within.total_seconds()
    after = {name: tries.get(name, Tries()) for name in notifier.names}
    for name in sorted(notifier.names, key=lambda each: bool(after[each].problem)):
        waiting = untold(history.cases(), name, now)
        for message in sorted(waiting, key=lambda each: after[name].failed.get(each.group, 0)):
            if time.monotonic() > deadline:
                return after
            after[name] = _tried(history, notifier, name, message, after[name], now)
            if after[name].problem:
                break
    return after


def _tried(history: History, notifier: Notifier, name: str, message: Message, tries: Tries, now: datetime) -> Tries:
    problem = notifier.send(name, message)
    count = tries.failed.get(message.group, 0) + 1
    others = {group: failed for group, failed in tries.failed.items() if group != message.group}
    if problem is None or (problem.unsure and count >= UNSURE):
        history.told(message.ids, name, message.group, now)
    else:
        others[message.group] = count
    return Tries(failed=others, problem=problem.words if problem else "")
