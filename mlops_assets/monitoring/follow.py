"""Which closed windows of traffic are not sealed yet, or have outcomes that came since."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import canonical, digest
from mlops_assets.product import SEAL, ModelProduct, Stage
from mlops_assets.serving.outcomes import outcomes
from mlops_assets.serving.seal import closed_windows, log_digests, unsealed
from mlops_assets.settings import Settings


def sealable(
    product: ModelProduct, settings: Settings, now: datetime, settled: Mapping[str, str]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return (partition, version of its inputs) of what is to be sealed or finished, oldest first; and what is settled.

    `settled` gives, per window in which nothing was left to do, the state of its files then: as long as they stay so,
    the window is not looked into again.
    """
    archive, folder = Archive(settings.home), settings.serving(product.name)
    segments = [s for s in product.segments if archive.ledger.champion(product.name, s) is not None]
    heads = {stage: archive.heads(product.name, stage) for stage in SEAL}
    found: list[tuple[str, str]] = []
    done: dict[str, str] = {}
    for window in closed_windows(folder, product.grid, now, product.monitor.grace.total_seconds()) if segments else []:
        state = _files(folder, window, segments)
        todo = [] if settled.get(window) == state else list(_todo(archive, folder, window, segments, heads))
        found += todo
        if not todo:
            done[window] = state
    return found, done


def _todo(
    archive: Archive, folder: Path, window: str, segments: Sequence[str], heads: Mapping[Stage, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    reported = content_root(outcomes(folder, window))
    for segment in segments:
        partition = f"{segment}|{window}"
        record = heads[Stage.PREDICTIONS].get(partition)
        sealed = archive.held(record) if record else None
        if sealed is None or sealed.record.state["outcomes"] != reported or unsealed(folder, window, segment):
            files = list(log_digests(folder, window, segment))
            yield partition, digest(canonical([files, reported]))[:16]
        elif not _judged(archive, sealed, heads, partition):
            yield partition, f"{sealed.id[:16]} unfinished"


def _judged(archive: Archive, sealed: Held, heads: Mapping[Stage, Mapping[str, str]], partition: str) -> bool:
    """Return whether the window has a verdict, and its quality is that of the outcomes which are sealed."""
    quality = heads[Stage.PERFORMANCE].get(partition)
    if quality is None or partition not in heads[Stage.DRIFT]:
        return False
    roots = {source.root for source in archive.held(quality).record.inputs}
    return {sealed.record.root, sealed.record.output("outcomes").root} <= roots


def _files(folder: Path, window: str, segments: Sequence[str]) -> str:
    """Return what tells that nothing has come into a window: its files with their sizes, and who is served."""
    files = [path for kind in ("log", "outcomes") for path in sorted((folder / kind / window).glob("*.log"))]
    return digest(canonical([[str(path), path.stat().st_size] for path in files] + list(segments)))[:12]
