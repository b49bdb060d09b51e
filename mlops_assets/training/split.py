"""Rows in time order -> which to fit on, which to validate on, and the newest, which are held out."""

from dataclasses import dataclass

SHARE = 0.2
FEWEST = 10
AT_LEAST = 100  # with fewer rows the standard error of an AUC is above 0.05


@dataclass(frozen=True, kw_only=True)
class Split:
    """Three runs of rows that follow each other in time."""

    fit: slice
    validation: slice
    holdout: slice


def filled(windows: tuple[int, ...]) -> tuple[int, ...]:
    """Return the windows that have rows; a newest one with fewer than 10 is counted with the one before."""
    kept = [count for count in windows if count]
    while len(kept) > 1 and kept[-1] < FEWEST:
        last = kept.pop()
        kept[-1] += last
    return tuple(kept)


def split(windows: tuple[int, ...], used: int) -> Split:
    """Return the split of the newest `used` windows; validation and held-out rows come from the newest one.

    Each is the newest fifth of what is left of it; 100 rows if that is more, but never over a third. Both are the same
    whatever `used` is.
    """
    rows = sum(windows)
    held = _newest(windows[-1])
    validated = _newest(windows[-1] - held)
    middle, end = rows - held - validated, rows - held
    begin = rows - sum(windows[-used:])
    return Split(fit=slice(begin, middle), validation=slice(middle, end), holdout=slice(end, rows))


def _newest(rows: int) -> int:
    return min(max(round(rows * SHARE), AT_LEAST), rows // 3)
