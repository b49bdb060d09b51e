"""A request and what it wants to do -> who asks, or a refusal: by key, or by the header of a declared proxy."""

import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from hmac import compare_digest
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from mlops_assets.serving.access.keys import ANYONE, Act, Entry, file_of, hash_of, read_entries
from mlops_assets.serving.requests.http import Scope
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.settings import Network, Proxy

TRIES = 30  # failed ones of an address in `TRIES_S` seconds; those after them are told to wait
TRIES_S = 60.0
_ADDRESSES = 10_000  # whose tries are counted at once
_LONGEST = 200  # characters of a name
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="mlops_assets"'),)


class Caller(NamedTuple):
    """Who asks, as outcomes and the ledger keep it, and what they may do."""

    by: str
    acts: tuple[Act, ...]
    hash: bytes = b""


class Access:
    """The names of a product's file, followed while it changes. `refused` counts by reason.

    It is on wherever there is a file or a proxy, and on any host but loopback. Once on it stays on, whatever becomes
    of the file: a store that goes away opens nothing.
    """

    def __init__(self, folder: Path, product: str, *, loopback: bool, proxy: Proxy | None = None) -> None:
        """Follow the product's file in `folder`; `reload` reads it."""
        self.file = file_of(folder, product)
        self.product = product
        self.refused: Counter[str] = Counter()
        self._proxy = proxy
        self._on = not loopback or proxy is not None
        self._stamp: tuple[int, int] | None = None
        self._entries: list[Entry] = []
        self._counted: list[Entry] = []
        self._keys: dict[bytes, Caller] = {}
        self._shown: dict[bytes, Caller] = {}  # headers with right keys, as they came
        self._identities: dict[str, Caller] = {}
        self._proxied: dict[str, bool] = {}
        self._tries: Counter[str] = Counter()
        self._tries_until = 0.0

    @property
    def on(self) -> bool:
        """Whether requests have to show who they are from."""
        return self._on

    @property
    def names(self) -> int:
        """How many names count now."""
        return len(self._keys) + len(self._identities)

    def reload(self, now: datetime) -> bool:
        """Follow the file: return whether who may do what has changed. Names that are over no longer count.

        Raises:
            ValueError: If the file is of another form; what was before goes on.
            OSError: If it cannot be read; likewise.
        """
        stamp = _stamp(self.file)
        if stamp is not None and stamp != self._stamp:
            self._stamp = stamp  # before it is read: what is wrong with it is said once
            self._entries = read_entries(self.file) or []
            self._on = True
        counted = [entry for entry in self._entries if entry.holds(now)]
        if counted == self._counted:
            return False
        self._counted = counted
        self._keys = dict(_keys(counted))
        self._shown = {}
        self._identities = {entry.name: Caller("", entry.acts) for entry in counted if entry.sha256 is None}
        return True

    def allows(self, scope: Scope, act: Act) -> Caller:
        """Return who asks for `act`.

        Raises:
            Refused: 401 if nobody says who, 403 if they may not, 429 after too many tries.
        """
        shown: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"authorization" or name == b"x-api-key":
                shown = value
        caller = self._shown.get(shown) if shown is not None else None
        if caller is None:
            caller = self._by_key(shown) or self._by_proxy(scope) or self._nobody(scope, shown)
        if act in caller.acts:
            return caller
        self.refused["not_allowed"] += 1
        raise Refused(403, f"{caller.by} may {', '.join(caller.acts) or 'do nothing'}; this needs {act!r}")

    def _by_key(self, shown: bytes | None) -> Caller | None:
        """Return whose key a header shows; one that is right is remembered, to be hashed once."""
        if shown is None:
            return None
        digest = hash_of(shown[7:] if shown[:7].lower() == b"bearer " else shown)
        found = self._keys.get(digest)
        if found is None or not compare_digest(found.hash, digest):
            return None
        self._shown[shown] = found
        return found

    def _by_proxy(self, scope: Scope) -> Caller | None:
        """Return whom a declared proxy names; one that it names and nobody knows may do nothing.

        Raises:
            Refused: 403 if there are several names: one is the client's own, and nothing tells which.
        """
        proxy = self._proxy
        if proxy is None or not self._from_proxy(scope, proxy.networks):
            return None
        names = [value for key, value in scope["headers"] if key == proxy.header]
        if not names:
            return None
        if len(names) > 1:
            self.refused["several_names"] += 1
            said = f"header {proxy.header.decode()} came {len(names)} times; right is a proxy that replaces a client's"
            raise Refused(403, said)
        told = names[0].decode("utf-8", "replace")[:_LONGEST]
        found = self._identities.get(told) or self._identities.get(ANYONE)
        proper = found is not None and told != ANYONE and told.isprintable()
        return Caller(f"proxy:{told}", found.acts if found is not None and proper else ())

    def _nobody(self, scope: Scope, shown: bytes | None) -> Caller:
        if shown is not None:
            raise self._unknown(scope, "unknown_key", "this key is not, or no longer, known here")
        said = "nothing says who asks; right is header Authorization: Bearer KEY, or X-Api-Key: KEY"
        raise self._unknown(scope, "nobody", said)

    def _from_proxy(self, scope: Scope, networks: Iterable[Network]) -> bool:
        address = _address(scope)
        known = self._proxied.get(address)
        if known is None:
            if len(self._proxied) >= _ADDRESSES:
                self._proxied.clear()
            found = ip_address(address)
            plain = getattr(found, "ipv4_mapped", None) or found  # as a socket for both families tells IPv4
            known = self._proxied[address] = any(plain in network for network in networks)
        return known

    def _unknown(self, scope: Scope, reason: str, said: str) -> Refused:
        """Return the refusal of a request from nobody known; keys that are right are not held up by wrong ones."""
        self.refused[reason] += 1
        now = time.monotonic()
        if now > self._tries_until or len(self._tries) >= _ADDRESSES:
            self._tries.clear()
            self._tries_until = now + TRIES_S
        address = _address(scope)
        self._tries[address] += 1
        if self._tries[address] <= TRIES:
            return Refused(401, said, headers=_CHALLENGE)
        wait_s = max(1, round(self._tries_until - now))
        self.refused["too_many_tries"] += 1
        retry = ((b"retry-after", str(wait_s).encode()),)
        return Refused(429, f"more than {TRIES} failed tries from {address}; right is one in {wait_s} s", headers=retry)


def _keys(entries: Iterable[Entry]) -> Iterable[tuple[bytes, Caller]]:
    for entry in entries:
        if entry.sha256 is not None:
            kept = bytes.fromhex(entry.sha256)
            yield kept, Caller(f"key:{entry.name}", entry.acts, kept)


def _address(scope: Scope) -> str:
    return scope["client"][0] if scope["client"] else "0.0.0.0"


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
