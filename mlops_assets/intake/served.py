"""Live traffic as a source: the sealed predictions whose rows belong to a window of data."""

from datetime import timedelta

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.step import Step, parse
from mlops_assets.product import Stage


def sealed_within(step: Step, partition: str) -> list[Held]:
    """Return the records of sealed monitoring windows that begin in the window of `partition`, oldest first.

    A product without windows learns from its source alone, and so does one with personal columns: the log does not hold
    the rows as they were.
    """
    grid = step.product.windows
    if grid is None or step.product.endpoint.personal:
        return []
    segment, window = parse(partition)
    start, end = grid.bounds(window)
    monitored = step.product.grid
    keys = monitored.keys(monitored.bounds(monitored.key(start))[0], end + timedelta(days=32))
    inside = [key for key in keys if start <= monitored.bounds(key)[0] < end]
    places = [step.place(f"{segment}|{key}", Stage.PREDICTIONS) for key in inside]
    found = [held for held in map(step.archive.head, places) if held is not None]
    return [held for held in found if held.record.output("predictions").rows]
