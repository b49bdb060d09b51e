"""Ends process groups once its standard input ends: it stands beside a process and outlives it, however that ends.

It is run as a script, and imports the standard library alone so that it starts at once and stays small.
"""

import os
import signal
import sys
import time

WITHIN_S = 15.0


def end(groups: list[int], *, within_s: float = WITHIN_S) -> None:
    """Ask every process of `groups` to end, and kill what still runs after `within_s` seconds."""
    left = [group for group in groups if _told(group, signal.SIGTERM)]
    deadline = time.monotonic() + within_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [group for group in left if _told(group, 0)]
    for group in left:
        _told(group, signal.SIGKILL)


def main() -> None:
    """Read a group a line, and end them all when nobody can write any more."""
    end([int(line) for line in sys.stdin])


def _told(group: int, number: int) -> bool:
    """Return whether there was a process to tell."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # gone; or on macOS, gone but not yet collected
        return False
    return True


if __name__ == "__main__":
    main()
