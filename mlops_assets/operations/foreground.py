"""A deployment's definitions and Dagster instance, opened to run jobs in this process."""

from collections.abc import Callable

from mlops_assets.loop import Loop, Ran, dagster_home
from mlops_assets.settings import Settings, adopt


def foreground(settings: Settings, *, on_run: Callable[[Ran], None] = lambda _: None) -> Loop:
    """Return a loop over all products of this deployment, recorded in its Dagster instance so that the UI shows it."""
    dagster_home(settings)
    adopt(settings)
    import dagster as dg

    from mlops_assets.definitions import build

    return Loop(definitions=build(settings), instance=dg.DagsterInstance.get(), on_run=on_run)
