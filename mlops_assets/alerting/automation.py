"""What the orchestrator says of itself -> alerts: sensors that do not tick, silent daemons, overdue assets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mlops_assets.alerting.alert import EVERYTHING, Alert, Found, asset_link
from mlops_assets.alerting.runs import Run

SILENT = timedelta(minutes=10)  # of a sensor or a daemon; both are due every half minute at most
COMING_UP = timedelta(minutes=2)  # after a pause of everything, all others look stale until they come up too


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """A sensor: whether somebody switched it off, when it last ticked well, and what its last failed tick said."""

    name: str
    off: bool
    ticked: datetime | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Overdue:
    """An asset that its freshness policy calls overdue, and when it was last materialized."""

    stage: str
    materialized: datetime | None


class Orchestrator(Protocol):
    """What alerts ask of Dagster."""

    def runs(self, newest: str | None, under_way: Sequence[str]) -> tuple[list[Run], str | None]:
        """Return the runs after `newest` and those `under_way`, as they are now, and the newest one seen."""
        ...

    def launched(self, decision: str) -> bool:
        """Return whether a run was ever started for a decision."""
        ...

    def sensors(self, product: str) -> list[Sensor]:
        """Return the product's sensors that a daemon knows."""
        ...

    def overdue(self, product: str) -> list[Overdue]:
        """Return the product's assets that are overdue."""
        ...

    def heartbeats(self) -> dict[str, datetime]:
        """Return when each daemon was last heard."""
        ...


def sensor_alerts(product: str, sensors: Sequence[Sensor], now: datetime, ui_url: str) -> Iterator[Found]:
    """Yield the sensors that are switched off, or have not ticked well for long."""
    for sensor in sensors:
        silent = sensor.ticked is not None and now - sensor.ticked > SILENT
        if sensor.off or silent:
            why = f": {sensor.problem}" if sensor.problem else ""
            words = f"is switched off{why}" if sensor.off else f"has not ticked since {_moment(sensor.ticked)}{why}"
            yield _stalled(
                product, f"sensor/{sensor.name}", f"the sensor {sensor.name} {words}", f"{ui_url}/automation"
            )


def overdue_alerts(product: str, overdue: Sequence[Overdue], ui_url: str) -> Iterator[Found]:
    """Yield the assets whose freshness policy says that nothing was made for too long."""
    for each in overdue:
        yield Found(
            alert=Alert(
                id=f"{product}//overdue/{each.stage}",
                product=product,
                segment=None,
                kind="overdue",
                severity="warning",
                words=f"{each.stage} is overdue: it was last materialized at {_moment(each.materialized)}",
                link=asset_link(ui_url, product, each.stage),
            ),
            after=COMING_UP,
        )


def daemon_alerts(heartbeats: dict[str, datetime], now: datetime, ui_url: str) -> Iterator[Found]:
    """Yield the daemons that have been heard before, but not for long."""
    for name, heard in heartbeats.items():
        if now - heard > SILENT:
            words = f"Dagster's daemon {name} has not been heard since {_moment(heard)}"
            yield _stalled(EVERYTHING, f"daemon/{name}", words, f"{ui_url}/deployment/daemons")


def _stalled(product: str, what: str, words: str, link: str) -> Found:
    alert = Alert(
        id=f"{product}//{what}",
        product=product,
        segment=None,
        kind="stalled automation",
        severity="error",
        words=words,
        link=link,
    )
    return Found(alert=alert, after=COMING_UP)


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"
