"""Time -> window: the grid of partitions, with the same keys that Dagster gives them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, model_validator

Every = Literal["hour", "day", "week", "month"]
ALL = "all"
FORMATS: dict[Every, str] = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m-%d"}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no timezone {name!r}; right is an IANA name such as 'UTC' or 'Europe/Berlin'") from error
    return name


def _moment(value: object) -> object:
    """Return a date as midnight; everything else goes to pydantic as it is."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Grid(BaseModel, frozen=True, extra="forbid"):
    """Windows of one length that follow each other from `start`, up to `end` (exclusive) if there is one.

    A window's key is its start in `timezone`. Weeks begin on the weekday of `start`.
    """

    every: Every
    start: Moment
    end: Moment | None = None
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"

    @model_validator(mode="after")
    def _on_the_grid(self) -> Self:
        local = self._local(self._utc(self.start))
        if self.every == "month" and local.day != 1:
            raise ValueError(f"monthly windows start on the first of a month, found {local:%Y-%m-%d}")
        if self.every == "hour" and self.timezone != "UTC":
            raise ValueError(f"hourly windows need timezone UTC, found {self.timezone!r}")
        if (local.minute, local.second, local.microsecond) != (0, 0, 0) or (self.every != "hour" and local.hour):
            raise ValueError(f"a window of one {self.every} starts on the full {self.every}, found {local.isoformat()}")
        if self.end is not None and self.bounds(self.key(self.start))[1] > self._utc(self.end):
            between = f"start {self.start.isoformat()} and end {self.end.isoformat()}"
            raise ValueError(f"no whole {self.every} lies between {between}")
        return self

    @property
    def longest(self) -> timedelta:
        """How long a window lasts at most."""
        return {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}.get(
            self.every, timedelta(days=31)
        )

    @property
    def cycle(self) -> int:
        """How many windows a season has: the hours of a day, the days of a week, the months of a year; weeks: 0."""
        return {"hour": 24, "day": 7, "month": 12}.get(self.every, 0)

    def phase(self, key: str) -> int:
        """Return the place of the window `key` in its season, from 0; Mondays and Januaries are 0."""
        local = self._local(self.bounds(key)[0])
        return {"hour": local.hour, "day": local.weekday(), "month": local.month - 1}.get(self.every, 0)

    def key(self, at: datetime) -> str:
        """Return the key of the window that holds `at` (aware; naive is read in `timezone`)."""
        return self._floor(self._local(self._utc(at))).strftime(FORMATS[self.every])

    def bounds(self, key: str) -> tuple[datetime, datetime]:
        """Return start (inclusive) and end (exclusive) of the window `key`, in UTC.

        Raises:
            ValueError: If `key` is no window of this grid.
        """
        try:
            local = datetime.strptime(key, FORMATS[self.every]).replace(tzinfo=ZoneInfo(self.timezone))
        except ValueError as error:
            raise ValueError(f"no window {key!r}; a key looks like {self.key(self.start)!r}") from error
        if self.key(local) != key:
            raise ValueError(f"no window {key!r}; the nearest one is {self.key(local)!r}")
        return local.astimezone(UTC), self._after(local).astimezone(UTC)

    def holds(self, at: datetime) -> bool:
        """Return whether `at` lies in a window of the grid: from `start`, and whole windows before `end`."""
        moment = self._utc(at)
        if moment < self._utc(self.start):
            return False
        return self.end is None or self.bounds(self.key(moment))[1] <= self._utc(self.end)

    def keys(self, since: datetime, until: datetime) -> list[str]:
        """Return the keys of the windows that lie wholly in [since, until] and on the grid, oldest first."""
        since, until = self._utc(since), self._utc(until)
        ended = takewhile(lambda window: window[2] <= until, self._windows(since))
        return [key for key, start, _ in ended if start >= since]

    def keys_until(self, until: datetime) -> list[str]:
        """Return the keys of all windows from `start` that have ended by `until`."""
        return self.keys(self._utc(self.start), self._utc(until))

    def before(self, key: str, count: int) -> list[str]:
        """Return the last `count` windows up to and with `key`, oldest first; fewer where the grid begins."""
        found = [key]
        first = self._utc(self.start)
        while len(found) < count:
            start, _ = self.bounds(found[0])
            if start <= first:
                break
            found.insert(0, self.key(start - timedelta(minutes=1)))
        return found

    def expression(self, at: pl.Expr) -> pl.Expr:
        """Return the polars expression of the window key for a UTC datetime column."""
        local = at.dt.convert_time_zone(self.timezone)
        if self.every == "week":
            offset = timedelta(days=self._local(self._utc(self.start)).weekday())
            floor = (local.dt.replace_time_zone(None) - offset).dt.truncate("1w") + offset
        else:
            floor = local.dt.replace_time_zone(None).dt.truncate(
                {"hour": "1h", "day": "1d", "month": "1mo"}[self.every]
            )
        return floor.dt.strftime(FORMATS[self.every])

    def keys_of(self, times: pl.Series) -> pl.Series:
        """Return the key of the window that holds each of `times`, a UTC datetime column."""
        return times.to_frame("at").select(self.expression(pl.col("at")).alias("window")).to_series()

    def _windows(self, since: datetime) -> Iterator[tuple[str, datetime, datetime]]:
        moment = max(self._utc(since), self._utc(self.start))
        limit = None if self.end is None else self._utc(self.end)
        while True:
            key = self.key(moment)
            start, end = self.bounds(key)
            if limit is not None and end > limit:
                return
            yield key, start, end
            moment = end

    def _utc(self, at: datetime) -> datetime:
        return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(self.timezone))).astimezone(UTC)

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.timezone))

    def _floor(self, local: datetime) -> datetime:
        if self.every == "hour":
            return local.replace(minute=0, second=0, microsecond=0)
        midnight = datetime.combine(local.date(), time(), tzinfo=local.tzinfo)
        if self.every == "month":
            return midnight.replace(day=1)
        if self.every == "week":
            first = self._local(self._utc(self.start)).date()
            return midnight - timedelta(days=(local.date() - first).days % 7)
        return midnight

    def _after(self, local: datetime) -> datetime:
        if self.every == "hour":
            return local + timedelta(hours=1)
        if self.every == "month":
            return (local + timedelta(days=32)).replace(day=1)
        return local + timedelta(days=7 if self.every == "week" else 1)
