"""An endpoint of `loans` in a process of its own, with a declared endpoint and on a disk with troubles.

`python -m mlops_assets_tests.serving.log.process HOME CLOCK ENDPOINT_JSON FILE_SIZE` serves it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlops_assets.endpoint import Endpoint
from mlops_assets.serving.worker.server import serve
from mlops_assets.settings import Settings, load_settings
from mlops_assets_tests.serving.loans import LOANS, Running

FOREVER_S = 60


@contextmanager
def endpoint(
    settings: Settings,
    declared: Endpoint,
    *,
    clock: str = "server",
    file_size: int = 0,
    under: Sequence[str] = (),
    errors: Path | None = None,
) -> Iterator[Running]:
    """An endpoint from its first answer on; it is killed at the end if it still runs.

    `under` is the command that runs it; with a `file_size` no file can grow beyond so many bytes.
    """
    module = [sys.executable, "-m", "mlops_assets_tests.serving.log.process"]
    arguments = [str(settings.home), clock, declared.model_dump_json(exclude_defaults=True), str(file_size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        (errors or Path(os.devnull)).open("w") as said,
        subprocess.Popen(
            [*under, *module, *arguments], stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "serving at http" in line
            yield Running(process=process, url=line.split()[3])
        finally:
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + FOREVER_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def main() -> None:
    """Serve; the limit on files is a soft one, so that whoever runs this can lift it."""
    home, clock, declared, file_size = sys.argv[1:]
    if int(file_size):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_size), resource.RLIM_INFINITY))
    product = LOANS.model_copy(update={"endpoint": Endpoint.model_validate_json(declared)})
    serve(product, load_settings(home=Path(home)), clock="replay" if clock == "replay" else "server")


if __name__ == "__main__":
    main()
