"""Which closed windows of traffic are not sealed yet, or have outcomes that came since."""

from datetime import datetime

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import canonical, digest
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.outcomes import outcomes
from mlops_assets.serving.seal import closed_windows, log_digests, unsealed
from mlops_assets.settings import Settings


def sealable(product: ModelProduct, settings: Settings, now: datetime) -> list[tuple[str, str]]:
    """Return (partition, version of its inputs) of what there is to seal or to finish, oldest first."""
    archive, folder = Archive(settings.home), settings.serving(product.name)
    segments = [s for s in product.segments if archive.ledger.champion(product.name, s) is not None]
    heads = archive.heads(product.name, Stage.PREDICTIONS)
    judged = {stage: archive.heads(product.name, stage) for stage in (Stage.DRIFT, Stage.PERFORMANCE)}
    found: list[tuple[str, str]] = []
    for window in closed_windows(folder, product.grid, now, product.monitor.grace.total_seconds()) if segments else []:
        reported = content_root(outcomes(folder, window))
        for segment in segments:
            partition = f"{segment}|{window}"
            sealed = archive.held(heads[partition]) if partition in heads else None
            if sealed is None or sealed.record.state["outcomes"] != reported or unsealed(folder, window, segment):
                files = list(log_digests(folder, window, segment))
                found.append((partition, digest(canonical([files, reported]))[:16]))
            elif any(partition not in made for made in judged.values()):
                found.append((partition, f"{sealed.id[:16]} unfinished"))
    return found
