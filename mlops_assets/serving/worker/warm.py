"""A table that is to be served -> the same, with each of its models warm in every thread that will answer."""

import threading
from collections.abc import Iterator
from concurrent.futures import Executor

from mlops_assets.serving.routing.lanes import Model
from mlops_assets.serving.routing.router import Table

_TOGETHER_S = 30.0


def warm_here(table: Table, *, before: Table) -> None:
    """Have every model that the table `before` has not answer one row in this thread: its buffers are made by that."""
    known = {id(by.model) for by in before.everyone}
    for model in _models(table):
        if id(model) not in known:
            model.predictor.one(model.probes[0])


def warm_there(table: Table, threads: Executor, count: int) -> None:
    """Have every model answer its probe rows in each of the `count` threads of a pool; they wait for one another."""
    together = threading.Barrier(count)

    def answer() -> None:
        together.wait(_TOGETHER_S)  # or one thread that is free early would do it all
        for model in _models(table):
            model.predictor.one(model.probes[0])
            model.predictor.many(model.probes)

    for made in [threads.submit(answer) for _ in range(count)]:
        made.result()


def _models(table: Table) -> Iterator[Model]:
    """Yield the models that have probe rows; one whose features read free text has none."""
    yield from {id(by.model): by.model for by in table.everyone if by.model.probes}.values()
