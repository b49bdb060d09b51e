"""A deployment's definitions and Dagster instance, opened to run jobs in this process."""

from collections.abc import Callable

from mlops_assets.loop import Loop, Ran, dagster_home, opening
from mlops_assets.operations.lost import report_lost
from mlops_assets.settings import Settings, adopt


def foreground(settings: Settings, *, on_run: Callable[[Ran], None] = lambda _: None) -> Loop:
    """Return a loop over all products of this deployment, recorded in its Dagster instance so that the UI shows it.

    Runs that a killed process left under way are reported failed first, so that none holds a pool.
    """
    home = dagster_home(settings)
    adopt(settings)
    import dagster as dg

    from mlops_assets.definitions import build

    with opening(home):
        instance = dg.DagsterInstance.get()
    report_lost(instance, home)
    return Loop(definitions=build(settings), instance=instance, dagster_home=home, on_run=on_run)
