"""What was looked into and found done, each with its state then: nobody looks into it again before that changes.

It is a note beside the evidence, no evidence itself. Lost, torn or old, it costs only another look at everything; so
whoever looks has no cursor that could be lost, and two who look at once do each other no harm.
"""

from pathlib import Path

import msgspec

from mlops_assets.evidence.store import replace

_OFTEN = 1_000  # what a look that is killed has noted by then is kept


class Settled:
    """State by key, in one file."""

    def __init__(self, path: Path) -> None:
        """Read the file at `path`, if there is one that can be read."""
        self._path = path
        self._states = _read(path)
        self._unsaved = 0

    def holds(self, key: str, state: str) -> bool:
        """Return whether `key` was done when its state was this very one."""
        return self._states.get(key) == state

    def note(self, key: str, state: str) -> None:
        """Note that `key` is done. `state` has to be from before the look, or what came in meanwhile is missed."""
        self._states[key] = state
        self._unsaved += 1
        if self._unsaved >= _OFTEN:
            self.save()

    def save(self) -> None:
        """Write the file, if there is anything new to write."""
        if self._unsaved:
            replace(self._path, msgspec.json.encode(self._states))
            self._unsaved = 0


def _read(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
