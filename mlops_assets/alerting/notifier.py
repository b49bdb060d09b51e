"""The port through which messages leave, and its adapter over apprise: Slack, PagerDuty, Teams, mail, webhook, more.

A destination is named by its place in the list and its service, as in `2 slack`. Its URL holds secrets, so nothing that
is returned, logged or stored has any part of it.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlops_assets.alerting.messages import Message

TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a message was not accepted. `unsure`: it may have been, only the answer did not come in time."""

    words: str
    unsure: bool = False


class Notifier(Protocol):
    """Sends messages to named destinations."""

    @property
    def names(self) -> tuple[str, ...]:
        """The destinations, in the order in which they were given."""
        ...

    def send(self, to: str, message: Message) -> Problem | None:
        """Send one message to one destination; return None once it is accepted."""
        ...


class AppriseNotifier:
    """Sends through apprise, which is loaded with the first message. It writes no file and fetches nothing."""

    def __init__(self, urls: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> None:
        """Send to `urls`, each tried for `timeout_s` at most."""
        self._urls = {_name(number, url): url for number, url in enumerate(urls, 1)}
        self._timeout_s = timeout_s

    @property
    def names(self) -> tuple[str, ...]:
        """The destinations, in the order in which they were given."""
        return tuple(self._urls)

    def send(self, to: str, message: Message) -> Problem | None:
        """Send one message to one destination; return None once it is accepted."""
        _say_nothing()
        import apprise

        asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY)
        asset.app_id, asset.app_desc, asset.app_url = "mlops_assets", "mlops_assets", ""
        asset.image_url_mask = asset.image_url_logo = ""  # services would show, and load, a picture from elsewhere
        service = apprise.Apprise.instantiate(self._urls[to], asset=asset, suppress_exceptions=True)
        if service is None:
            return Problem(words="no URL that apprise can use; see appriseit.com for how it is written")
        if "rto=" not in self._urls[to]:  # or the service would give up first, and call it a failure
            service.socket_read_timeout = self._timeout_s + 2
        one = apprise.Apprise(asset=asset)
        one.add(service)
        kinds = {
            "error": apprise.NotifyType.FAILURE,
            "warning": apprise.NotifyType.WARNING,
            "over": apprise.NotifyType.SUCCESS,
        }
        result = one.notify(
            title=message.title, body=message.body, notify_type=kinds[message.level], timeout=self._timeout_s
        )
        if result.status == apprise.AppriseResultStatus.TIMEOUT:
            return Problem(words=f"no answer within {self._timeout_s:g} s; it may have arrived", unsure=True)
        return None if result else _refused(str(entry) for entry in result.logs())


def _name(number: int, url: str) -> str:
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+-]{0,30}(?=://)", url)
    return f"{number} {scheme[0].lower() if scheme else 'unreadable'}"


def _refused(logs: Iterable[str]) -> Problem:
    """Return why a service did not accept a message: the HTTP status alone, since what it wrote may hold secrets."""
    status = re.search(r"\berror=(\d{3})\b", " ".join(logs))
    return Problem(words=f"refused with HTTP status {status[1]}" if status else "not reached, or not accepted")


def _say_nothing() -> None:
    """Keep apprise's log to itself: at some levels it has whole URLs in it."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
