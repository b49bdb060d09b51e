"""What was found and what is known -> which alerts open, which end, and which have yet to last. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.alerting.alert import Alert, Found
from mlops_assets.alerting.history import Cases


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Alerts to open, ids to end, and since when each condition that does not count yet has been seen."""

    opened: tuple[Alert, ...]
    ended: tuple[str, ...]
    waiting: Mapping[str, datetime]


def changes(
    found: Sequence[Found], cases: Cases, waiting: Mapping[str, datetime], unseen: Collection[str], now: datetime
) -> Changes:
    """Return what to note. Alerts of `unseen` products stay as they are: nobody could look.

    What had ended before the history began is not opened; what began and ended since then is opened and ended.
    """
    opened: list[Alert] = []
    ended: list[str] = []
    lasting: dict[str, datetime] = {}
    for each in found:
        case = cases.by_id.get(each.alert.id)
        is_open = case is not None and case.ended is None
        if each.over:
            missed = case is None and each.at is not None and cases.began is not None and each.at >= cases.began
            opened += [each.alert] if missed else []
            ended += [each.alert.id] if missed or is_open else []
        elif not is_open:
            since = min(waiting.get(each.alert.id, now), now)
            if now - since >= each.after:
                opened.append(each.alert)
            else:
                lasting[each.alert.id] = since
    there = {each.alert.id for each in found}
    ended += [i for i, case in cases.open.items() if i not in there and case.alert.product not in unseen]
    return Changes(opened=tuple(opened), ended=tuple(ended), waiting=lasting)
