"""What was spent lately against what the declaration allows."""

from collections.abc import Sequence
from datetime import datetime

from mlops_assets.costs.spent import Spent
from mlops_assets.evidence.records import Struct
from mlops_assets.rules import Spending


class Used(Struct, frozen=True, kw_only=True):
    """Hours of one kind of time within the period, and the limit."""

    kind: str
    hours: float
    limit: float

    @property
    def exceeded(self) -> bool:
        """Whether more was used than may be."""
        return self.hours > self.limit

    @property
    def words(self) -> str:
        """What was used of what may be."""
        return f"{self.hours:.3g} of {self.limit:g} {self.kind} hours"


class Budget(Struct, frozen=True, kw_only=True):
    """What was used of each limit since `since`."""

    since: str
    days: float
    used: tuple[Used, ...]

    @property
    def exceeded(self) -> tuple[Used, ...]:
        """The limits that are exceeded."""
        return tuple(each for each in self.used if each.exceeded)


def budget(spending: Spending, spendings: Sequence[Spent], now: datetime) -> Budget:
    """Return what was used within `spending.per` up to `now`, of each limit."""
    since = now - spending.per
    recent = [each for each in spendings if since < datetime.fromisoformat(each.at) <= now]
    hours = {"CPU": sum(each.cpu_s for each in recent) / 3600, "GPU": sum(each.gpu_s for each in recent) / 3600}
    limits = {"CPU": spending.cpu_hours, "GPU": spending.gpu_hours}
    used = [Used(kind=k, hours=round(hours[k], 6), limit=limit) for k, limit in limits.items() if limit is not None]
    days = round(spending.per.total_seconds() / 86400, 3)
    return Budget(since=since.isoformat(timespec="seconds"), days=days, used=tuple(used))
