"""A million rows of 25 columns to exact counts and a whylogs profile, beside `np.sort` of the 20 columns of numbers."""

from benchmarks.profiled import cost
from benchmarks.results import Result, result

AIM = 8
ROUNDS = 5


def measure() -> list[Result]:
    """Return the CPU seconds of a profile."""
    taken = [(cost("ours")[0], cost("sort")[0]) for _ in range(ROUNDS)]
    ours, floor = (min(each) for each in zip(*taken, strict=True))
    return [result("profile_vs_sort", ours, "CPU s", beside="np.sort of the numbers", beside_figure=floor, aim=AIM)]
