"""Times and spans as people read them."""

from datetime import datetime, timedelta

_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def moment(at: datetime) -> str:
    """Return a time to the minute, with its offset."""
    return at.isoformat(timespec="minutes")


def period(span: timedelta) -> str:
    """Return a declared span as it is declared: '7d', '12h'."""
    seconds = int(span.total_seconds())
    unit, size = next((each for each in (("d", 86_400), ("h", 3_600), ("m", 60)) if seconds % each[1] == 0), ("s", 1))
    return f"{seconds // size}{unit}"


def took(seconds: float) -> str:
    """Return how long something took in its two largest units, below a minute in seconds with one decimal."""
    if seconds < 0:
        return f"-{took(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), list[str]()
    for unit, size in _UNITS:
        if count := left // size:
            parts.append(f"{count} {unit}")
        left %= size
    return " ".join(parts[:2])
