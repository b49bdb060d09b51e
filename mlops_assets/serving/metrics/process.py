"""What this process takes of its machine, under the names that Prometheus' own clients use."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlops_assets.serving.metrics.exposition import family, single
from mlops_assets.settings import image

_PROC = Path("/proc/self")


def process_figures(started_s: float) -> Iterator[str]:
    """Yield CPU, memory, descriptors, uptime and build as lines; `started_s` is in seconds since 1970.

    Where there is no /proc, memory is the highest so far, and descriptors are left out.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = used.ru_utime + used.ru_stime
    yield from single("process_cpu_seconds_total", "counter", "CPU time in seconds, all threads.", cpu_s)
    yield from single("process_resident_memory_bytes", "gauge", "Resident memory.", _resident(used.ru_maxrss))
    if (_PROC / "fd").exists():
        opened = len(os.listdir(_PROC / "fd"))
        yield from single("process_open_fds", "gauge", "Open file descriptors.", opened)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield from single("process_max_fds", "gauge", "File descriptors that may be open.", most)
    yield from single("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", started_s)
    yield from single("mlops_uptime_seconds", "gauge", "Seconds since the start.", max(0.0, time.time() - started_s))
    build = {"version": _version(), "python": platform.python_version(), "image": image() or ""}
    yield from family("mlops_build_info", "gauge", "What runs; always 1.", [(build, 1)])


def _resident(highest_kib: int) -> int:
    """Return resident memory in bytes."""
    statm = _PROC / "statm"
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return highest_kib * 1024


def _version() -> str:
    try:
        return version("mlops-assets")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
