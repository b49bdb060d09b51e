"""Who may do what at a product's endpoint: a file of names with acts, and for those with a key its hash.

A key is 256 random bits, so its plain SHA-256 is as good as a slow, salted hash: those slow down the guessing of
passwords, which people choose, and nobody guesses 256 bits. The key itself is shown once and stored nowhere.
"""

import fcntl
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import msgspec

from mlops_assets.evidence.records import Struct
from mlops_assets.evidence.store import replace

Act = Literal["read", "predict", "operate", "approve"]
ACTS: tuple[Act, ...] = get_args(Act)
PREFIX = "mlops_"  # by which scanners of leaked secrets can tell what a key is for
ANYONE = "*"  # whomever the proxy lets in


class Entry(Struct, frozen=True, kw_only=True):
    """A name with its acts: of a key whose hash is `sha256`, or without one as a proxy tells it. `until` is UTC."""

    name: str
    acts: tuple[Act, ...]
    since: str
    sha256: str | None = None
    until: str | None = None

    def holds(self, now: datetime) -> bool:
        """Return whether it counts at `now`."""
        return self.until is None or now < datetime.fromisoformat(self.until)


class Named(Struct, frozen=True, kw_only=True):
    """A name as it is listed: `by` key or proxy, `over` once its time has passed. It tells nothing of the key."""

    name: str
    acts: tuple[Act, ...]
    by: Literal["key", "proxy"]
    since: str
    until: str | None
    over: bool

    def __str__(self) -> str:
        """Return the line of a list."""
        end = "" if self.until is None else f", until {self.until}{' (over)' if self.over else ''}"
        return f"{self.name:<24} {', '.join(self.acts):<32} {self.by}, since {self.since}{end}"


def names(entries: Iterable[Entry], now: datetime) -> list[Named]:
    """Return how entries are listed at `now`."""
    return [
        Named(
            name=entry.name,
            acts=entry.acts,
            by="key" if entry.sha256 else "proxy",
            since=entry.since,
            until=entry.until,
            over=not entry.holds(now),
        )
        for entry in entries
    ]


def file_of(folder: Path, product: str) -> Path:
    """Return the file of a product's names."""
    return folder / f"{product}.json"


def read_entries(file: Path) -> list[Entry] | None:
    """Return the names in `file`, or None if there is no such file.

    Raises:
        ValueError: If it is of another form; the message names the field.
        OSError: If it cannot be read.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=list[Entry])
    except msgspec.DecodeError as problem:
        raise ValueError(f"{file}: {problem}; right is what `mlops-assets access` writes") from problem


def add_key(file: Path, name: str, acts: Iterable[str], until: datetime | None, now: datetime) -> str:
    """Enter `name` with a new key, and return the key; nothing stores it.

    Raises:
        ValueError: If the name is taken, or there is no such act.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    _enter(file, _entry(name, acts, until, now, hash_of(key.encode()).hex()))
    return key


def add_identity(file: Path, name: str, acts: Iterable[str], until: datetime | None, now: datetime) -> None:
    """Enter `name` as the proxy in front of the endpoint tells it; `*` is whomever it lets in.

    Raises:
        ValueError: If the name is taken, or there is no such act.
    """
    _enter(file, _entry(name, acts, until, now, None))


def remove(file: Path, name: str) -> None:
    """Take a name out; the file stays, so that an endpoint without any name lets nobody in.

    Raises:
        LookupError: If there is no such name.
    """

    def without(entries: list[Entry]) -> list[Entry]:
        left = [entry for entry in entries if entry.name != name]
        if len(left) == len(entries):
            raise LookupError(f"no name {name!r}; known names: {', '.join(e.name for e in entries) or 'none'}")
        return left

    _change(file, without)


def hash_of(key: bytes) -> bytes:
    """Return what is kept of a key."""
    return sha256(key).digest()


def end_of(text: str) -> datetime:
    """Return the end of a date, in UTC, or a time as it is.

    Raises:
        ValueError: If it is neither.
    """
    try:
        if len(text) <= len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), UTC)
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ValueError(f"--until {text!r} is no date; right is 2026-01-31, or 2026-01-31T12:00:00+00:00") from problem
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _entry(name: str, acts: Iterable[str], until: datetime | None, now: datetime, sha: str | None) -> Entry:
    asked = [act.strip() for act in acts]
    chosen: tuple[Act, ...] = tuple(act for act in ACTS if act in asked)
    if unknown := [act for act in asked if act not in ACTS]:
        raise ValueError(f"no act {unknown[0]!r}; acts: {', '.join(ACTS)}")
    if not chosen:
        raise ValueError(f"{name} may do nothing; right is --can with one or more of {', '.join(ACTS)}")
    if not name.isprintable() or not 0 < len(name) <= 200 or name.strip() != name:
        raise ValueError(f"{name[:60]!r} is no name; right is up to 200 printable characters")
    if until is not None and until <= now:
        raise ValueError(f"--until {until.isoformat()} is over; right is a time to come")
    end = None if until is None else until.astimezone(UTC).isoformat(timespec="seconds")
    return Entry(name=name, acts=chosen, since=now.isoformat(timespec="seconds"), sha256=sha, until=end)


def _enter(file: Path, entry: Entry) -> None:
    def with_it(entries: list[Entry]) -> list[Entry]:
        if any(other.name == entry.name for other in entries):
            raise ValueError(f"{entry.name!r} is there already; remove it first, or choose another name")
        return [*entries, entry]

    _change(file, with_it)


def _change(file: Path, change: Callable[[list[Entry]], list[Entry]]) -> None:
    """Replace the names in `file` by what `change` makes of them, one process at a time."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (file.parent / f".{file.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = change(read_entries(file) or [])
        replace(file, msgspec.json.format(msgspec.json.encode(entries)) + b"\n")
