"""Where figures were measured: processor, memory, and versions, in one line."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

VERSIONS = ("dagster", "mlflow", "polars", "pandera", "lightgbm", "uvicorn")


def described() -> str:
    """Return processor, cores, memory, Python and the versions of what is measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    here = f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {platform.system()}"
    return f"{here}; Python {platform.python_version()}, {libraries}."


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
