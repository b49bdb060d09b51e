"""A million rows of 25 columns to exact counts and a whylogs profile, beside `why.log` of the same table in pandas."""

from benchmarks.profiled import cost
from benchmarks.results import Result, result

AIM = 1 / 20
ROUNDS = 2


def measure() -> list[Result]:
    """Return the CPU seconds and the bytes of a profile."""
    ours, theirs = (min(cost(how) for _ in range(ROUNDS)) for how in ("ours", "whylogs"))
    beside = "why.log(pandas), its defaults"
    name = "profile_vs_whylogs"
    return [
        result(name, ours[0], "CPU s", beside=beside, beside_figure=theirs[0], aim=AIM),
        result(f"{name}/bytes", ours[1], "bytes", beside=beside, beside_figure=theirs[1]),
    ]
