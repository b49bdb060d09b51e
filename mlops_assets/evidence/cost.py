"""What making a record takes: CPU and wall time from a moment on, and what was read and written meanwhile."""

import resource
import time
from collections.abc import Sequence

from mlops_assets.evidence.records import Cost, File, Output


class Meter:
    """Counts from when it is made. CPU time is the whole process's, with its threads and the children it waited for."""

    def __init__(self) -> None:
        """Begin to count."""
        self._began, self._cpu_s = time.monotonic(), _cpu_s()

    @property
    def wall_s(self) -> float:
        """The time that has passed, in s."""
        return time.monotonic() - self._began

    def cost(self, outputs: Sequence[tuple[Output, File]], *, rows_in: int, gpu_s: float) -> Cost:
        """Return what it took to make `outputs` of `rows_in` rows."""
        return Cost(
            cpu_s=round(_cpu_s() - self._cpu_s, 3),
            gpu_s=round(gpu_s, 3),
            rows_in=rows_in,
            rows_out=sum(output.rows or 0 for output, _ in outputs),
            bytes_written=sum(file.size for _, file in outputs),
        )


def _cpu_s() -> float:
    used = (resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
