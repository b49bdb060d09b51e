"""The traffic sensor: canaries step up, are promoted or taken back; what was deployed without Dagster shows in it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock

import dagster as dg

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.ramp.matured import Labelled
from mlops_assets.serving.ramp.tend import Tending
from mlops_assets.settings import Settings, load_settings
from mlops_assets.windows import ALL
from mlops_assets.wiring import EVERY_S, UNDER_WAY

DEPLOYMENT = "mlops_assets/deployment"  # tag: the deployment that a run shows


class Kept:
    """What a tick leaves for the next one: the outcomes read so far."""

    def __init__(self, product: ModelProduct, labelled: Labelled) -> None:
        """Remember nothing yet of `product`."""
        self._product = product
        self._labelled = labelled
        self._lock = Lock()
        self._tending: tuple[Settings, Tending] | None = None

    def tend(self, settings: Settings, now: datetime) -> list[str]:
        """Look after those who are tried; one tick at a time."""
        with self._lock:
            if self._tending is None or self._tending[0] != settings:
                self._tending = settings, Tending(self._product, settings, self._labelled)
            return self._tending[1].tend(now, whole=True)


def traffic_sensor(
    product: ModelProduct, deploy: UnresolvedAssetJobDefinition, labelled: Labelled
) -> dg.SensorDefinition:
    """Return the sensor that looks after canaries, and asks for `deploy` once for each deployment Dagster has not seen.

    Its own acts are deployed at once. `labelled` says what labels logged rows have.
    """
    kept = Kept(product, labelled)

    @dg.sensor(
        name=f"{product.name}_traffic",
        job=deploy,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows canaries, shadows and splits: steps up, promotes, takes back; shows deployments.",
    )
    def traffic(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = load_settings()
        said = kept.tend(settings, datetime.now(UTC))
        asked = _unseen(product, settings, context.instance, deploy.name)
        return dg.SensorResult(run_requests=asked, skip_reason=None if asked else "; ".join(said) or "nothing to do")

    return traffic


def _unseen(
    product: ModelProduct, settings: Settings, instance: dg.DagsterInstance, job: str
) -> Sequence[dg.RunRequest]:
    """Return the run that shows the present deployment, if it was made outside of Dagster and was not shown yet."""
    head = Archive(settings.home).head(Place(product=product.name, stage=Stage.ENDPOINT, partition=ALL))
    if head is None or head.envelope.run_id is not None:
        return []
    latest = instance.get_latest_materialization_event(dg.AssetKey(product.key(Stage.ENDPOINT)))
    shown = latest.asset_materialization.metadata["record"].value if latest and latest.asset_materialization else None
    if shown == head.id or instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNDER_WAY)):
        return []
    return [dg.RunRequest(run_key=f"deployment {head.id}", tags={DEPLOYMENT: head.id})]
