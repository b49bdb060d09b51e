"""A training that lasts longer than it may is interrupted, wherever it runs."""

import signal
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

SOON_S = 0.01  # when it is raised instead of in a callback of weakref's, where it would only be printed
AGAIN_S = 10.0  # Python drops an exception inside of `__del__` or a callback from C, so it is raised again


class Overdue(BaseException):
    """A training has lasted as long as it may. Not an `Exception`: a trainer that catches those goes on to its end."""


@contextmanager
def ended_after(minutes: float) -> Generator[None]:
    """Raise `Overdue` inside the block once it has lasted `minutes`, less a little for saying so.

    Dagster's daemon ends a run at its `dagster/max_runtime`, which is `minutes` too. The block ends 5% before, at most
    a minute, so that the run fails with these words and is not started again. Where no daemon is, as in `mlops-assets
    backfill`, nothing else ends it. What runs in C is interrupted when it returns to Python: LightGBM after a tree,
    torch after an operation. Only a process's main thread can be interrupted, which is where Dagster runs a step.

    Raises:
        Overdue: As said; what the training left in its folder of checkpoints stays there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_overdue(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == weakref.__file__:
            signal.setitimer(signal.ITIMER_REAL, SOON_S, AGAIN_S)
            return
        used = f"the training has used up the {minutes:g} minutes of `compute: minutes`"
        right = "right is more of them, fewer rows or fewer iterations"
        raise Overdue(f"{used}; {right}. A network goes on from its last checkpoint when it is trained again")

    before = signal.signal(signal.SIGALRM, raise_overdue)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes - min(60.0, 3 * minutes), AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
