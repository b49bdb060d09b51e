"""Which closed windows of traffic are not sealed yet, or have labels that came since."""

import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import BrokenEvidence, Place, digest
from mlops_assets.evidence.settled import Settled
from mlops_assets.evidence.step import Due, parse
from mlops_assets.monitoring.late_labels import relabelled
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.serving.log.seal import closed_windows, unsealed
from mlops_assets.serving.scoring.sealing import scored_partitions, unsealed_scores
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL, Grid

NEVER = (0, 0)
NEW, LATE_FILE, LATE_OUTCOMES = "closed window", "a log file that came late", "new outcomes"
LATE_LABELS, UNFINISHED, SCORED = "new labels by key", "sealed, but not judged", "new scores"


def sealable(
    product: ModelProduct, settings: Settings, now: datetime, busy: Collection[str] = frozenset()
) -> Generator[Due]:
    """Yield what is to be sealed or finished: what never was, oldest first, then what was sealed longest ago.

    A window in which nothing was left to do is not looked into again as long as nothing has come in. Partitions that
    are `busy` are left out. Nobody needs to take all: what is not taken is due again.
    """
    archive, settled = Archive(settings.home), Settled(settings.home / "sensors" / f"{product.name}_seal.json")
    sealed = archive.stamps(product.name, Stage.PREDICTIONS)
    drift, quality = (archive.stamps(product.name, stage) for stage in (Stage.DRIFT, Stage.PERFORMANCE))
    judged = sealed.keys() & drift.keys() & quality.keys()
    reported = cache(partial(_reported, settings.serving(product.name)))
    waiting = sorted(
        (sealed.get(partition, NEVER), parse(partition)[1], partition, state)
        for partition, state in _states(product, settings, archive, now)
        if partition not in busy and not (partition in judged and settled.holds(partition, state))
    )
    try:
        for _, _, partition, state in waiting:
            try:
                why = _todo(product, settings, archive, partition, reported)
            except BrokenEvidence as problem:  # its run says so and fails; the other windows go on
                why = f"broken evidence: {problem}"
            if why is None:
                settled.note(partition, state)
            else:
                yield Due(partition=partition, version=state, why=why)
    finally:
        settled.save()


def _todo(
    product: ModelProduct, settings: Settings, archive: Archive, partition: str, reported: Callable[[str], str]
) -> str | None:
    """Return why a partition is to be sealed or finished, or None if it is done."""
    segment, window = parse(partition)
    stages = (Stage.PREDICTIONS, Stage.DRIFT, Stage.PERFORMANCE)
    places = [Place(product=product.name, stage=stage, partition=partition) for stage in stages]
    sealed, drift, quality = map(archive.head, places)
    if sealed is None:
        return NEW
    if sealed.record.state["outcomes"] != reported(window):
        return LATE_OUTCOMES
    if unsealed(settings.serving(product.name), window, segment):
        return LATE_FILE
    if unsealed_scores(archive, settings.serving(product.name), partition, sealed):
        return SCORED
    roots = {sealed.record.root, sealed.record.output("outcomes").root}
    if drift is None or quality is None or not roots <= {source.root for source in quality.record.inputs}:
        return UNFINISHED
    return None if relabelled(archive, product, sealed, quality) is None else LATE_LABELS


def _states(product: ModelProduct, settings: Settings, archive: Archive, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield every partition that may be sealed, and what changes when something comes in for it: files and labels."""
    segments = [s for s in product.segments if archive.ledger.champion(product.name, s) is not None]
    if not segments:
        return
    folder, grid = settings.serving(product.name), product.grid
    labels = archive.stamps(product.name, Stage.ANNOTATIONS)
    kinds = [(path, _names(path)) for path in (str(folder / "log"), str(folder / "outcomes"))]
    scored = scored_partitions(archive, product, folder, product_now(folder, now))
    closed = closed_windows(folder, grid, now, product.monitor.grace.total_seconds())
    partitions = {f"{segment}|{window}" for window in closed for segment in segments}
    sizes = cache(partial(_all_sizes, kinds))
    for partition in partitions | {each for each in scored if parse(each)[0] in segments}:
        segment, window = parse(partition)
        own = [scored[partition]] if partition in scored else []  # none where nothing is ever scored
        state = repr((sizes(window), labels.get(f"{segment}|{_data_window(grid, product.windows, window)}"), *own))
        yield partition, digest(state.encode())[:16]


@cache
def _data_window(grid: Grid, windows: Grid | None, window: str) -> str:
    """Return the window of data that a monitoring window lies in: the labels by key of its predictions are there."""
    return windows.key(grid.bounds(window)[0]) if windows else ALL


def _reported(folder: Path, window: str) -> str:
    return content_root(outcomes(folder, window))


def _names(folder: str) -> set[str]:
    return set(os.listdir(folder)) if os.path.exists(folder) else set()


def _all_sizes(kinds: Sequence[tuple[str, Collection[str]]], window: str) -> list[list[tuple[str, int]]]:
    return [_sizes(f"{path}/{window}") if window in windows else [] for path, windows in kinds]


def _sizes(folder: str) -> list[tuple[str, int]]:
    """Return a window's files with their sizes; one that is dropped meanwhile is not there."""
    found: list[tuple[str, int]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".log"):
                with suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat().st_size))
    return sorted(found)
