"""A matured window's metrics -> the MLflow run of the version that it judged, as `live.<metric>`.

MLflow is a projection: what it says can be said again. A step of `live.auc` is a monitoring window, counted from the
grid's first. A window that is made again with more labels gets a newer value at the same step, which is the one that
MLflow then shows; the same record said twice changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from threading import Thread

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.ledger import Ledger
from mlops_assets.evidence.step import parse
from mlops_assets.monitoring.performance import Quality
from mlops_assets.product import ModelProduct
from mlops_assets.training.tracking import MlflowTracker, quiet_mlflow
from mlops_assets.windows import Grid

PREFIX = "live."
DEADLINE_S = 30.0
_SECONDS = {"hour": 3600, "day": 86400, "week": 604800}


def track(tracker: MlflowTracker, ledger: Ledger, product: ModelProduct, held: Held, quality: Quality) -> str:
    """Write the metrics of a performance record to its version's run; return in words what was done, or why not.

    That MLflow cannot be reached is said too, and fails nothing: the window's next record, or the same one made again,
    brings it up to date.
    """
    version = int(str(held.record.facts["version"]))
    if quality.immature:
        return f"not written: {quality.immature}"
    run_id = _run_of(ledger, product.name, version)
    if run_id is None:
        return f"not written: the ledger knows no run of {product.name}@{version}"
    at = datetime.fromisoformat(held.envelope.at)
    step = window_number(product.grid, parse(held.record.place.partition)[1])
    values = {PREFIX + name: each.value for name, each in quality.metrics.items()}
    problem = _written(tracker, run_id, {**values, f"{PREFIX}matured": quality.share}, at, step)
    return f"not written: {problem}" if problem else f"step {step} of run {run_id}"


def window_number(grid: Grid, key: str) -> int:
    """Return how many windows of `grid` lie before the window `key`."""
    first, this = (grid.bounds(each)[0] for each in (grid.key(grid.start), key))
    if grid.every == "month":
        year, month = (int(part) for part in key.split("-")[:2])
        start_year, start_month = (int(part) for part in grid.key(grid.start).split("-")[:2])
        return 12 * (year - start_year) + month - start_month
    return round((this - first).total_seconds() / _SECONDS[grid.every])  # a day of 23 hours counts as one


def _run_of(ledger: Ledger, product: str, version: int) -> str | None:
    act = next((act for act in ledger.acts(product, "register") if act.version == version), None)
    run_id = act.facts.get("mlflow_run_id") if act else None
    return run_id if isinstance(run_id, str) else None


def _written(tracker: MlflowTracker, run_id: str, values: Mapping[str, float], at: datetime, step: int) -> str | None:
    """Write metrics, and return what went wrong, if anything did, after 30 s at most.

    It is done in a thread that may be left behind: MLflow tries a dead database for an hour, and a window's verdict
    should not wait for its picture.
    """
    found: list[str | None] = []
    thread = Thread(target=lambda: found.append(_logged(tracker, run_id, values, at, step)), daemon=True)
    with quiet_mlflow(patient=False):
        thread.start()
        thread.join(DEADLINE_S)
    return found[0] if found else f"{tracker.uri} has not answered in {DEADLINE_S:.0f} s"


def _logged(tracker: MlflowTracker, run_id: str, values: Mapping[str, float], at: datetime, step: int) -> str | None:
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    ms = round(at.timestamp() * 1000)
    try:
        tracker.client.log_batch(run_id, [Metric(name, value, ms, step) for name, value in values.items()])
    except (MlflowException, SQLAlchemyError, OSError) as problem:
        return f"{tracker.uri}: {str(problem).partition(chr(10))[0]}"
    return None
