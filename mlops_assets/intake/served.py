"""Live traffic as a source: the sealed predictions whose rows belong to a window of data."""

from datetime import timedelta

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.step import Step, parse
from mlops_assets.product import Stage


def sealed_within(step: Step, partition: str) -> list[Held]:
    """Return the records of sealed monitoring windows that begin in the window of `partition`, oldest first.

    A product without windows learns from its source alone.
    """
    grid = step.product.windows
    if grid is None:
        return []
    segment, window = parse(partition)
    start, end = grid.bounds(window)
    first = step.product.grid.bounds(step.product.grid.key(start))[0]
    keys = step.product.grid.keys(first, end + timedelta(days=32))
    heads = step.archive.heads(step.product.name, Stage.PREDICTIONS)
    inside = [key for key in keys if start <= step.product.grid.bounds(key)[0] < end and f"{segment}|{key}" in heads]
    found = [step.archive.held(heads[f"{segment}|{key}"]) for key in inside]
    return [held for held in found if held.record.output("predictions").rows]
