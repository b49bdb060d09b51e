"""The windows of a table that are not scored, sealed and judged: made here, with progress. A second run goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import parse
from mlops_assets.operations.backfill import Todo, run_all
from mlops_assets.product import SEAL, ModelProduct
from mlops_assets.serving.scoring.sealing import unsealed_scores
from mlops_assets.serving.scoring.step import ScoresStep, is_over
from mlops_assets.serving.scoring.table import Manifest, read_table
from mlops_assets.settings import Settings


def backfill_scores(settings: Settings, name: str, *, windows: str | None, segments: str | None, dry_run: bool) -> int:
    """Score, seal and judge what is not up to date and return 0, or 1 if a run failed; `dry_run` only lists it.

    Raises:
        NotReady: If the product declares no table, or it cannot be read.
        LookupError: If a window or segment is not there.
    """
    product, archive = read_catalogue(settings.defs).product(name), Archive(settings.home)
    manifest = read_table(archive, product, settings)
    chosen = _chosen(product, manifest, windows, segments)
    for reason, count in manifest.unplaced.items():
        print(f"{name}: {count:,} rows of the table belong to no partition: {reason}")
    todos = list(_todos(settings, product, archive, chosen))
    if dry_run:
        for todo in todos:
            print(f"{todo.job:8} {todo.partition:32} {todo.why}")
        print(f"{len(todos)} windows to score; nothing was run")
        return 0
    failed = run_all(settings, product, todos)
    if not failed:
        print(f"{name}: the scores are up to date ({len(chosen)} partitions)")
    return 1 if failed else 0


def _chosen(product: ModelProduct, manifest: Manifest, windows: str | None, segments: str | None) -> list[str]:
    """Return the partitions with rows, in order of window, cut to what was asked for."""
    first, _, last = (windows or "").partition("...")
    wanted = set(segments.split(",")) if segments else set(product.segments)
    if unknown := wanted - set(product.segments):
        raise LookupError(f"no segment {min(unknown)!r}; known segments: {', '.join(product.segments)}")
    found = sorted(manifest.partitions, key=lambda partition: (parse(partition)[1], parse(partition)[0]))
    inside = [p for p in found if not windows or first <= parse(p)[1] <= (last or first)]
    if not (chosen := [p for p in inside if parse(p)[0] in wanted]):
        known = f"{parse(found[0])[1]}...{parse(found[-1])[1]}" if found else "none"
        raise LookupError(f"no window of the table of {product.name} in {windows!r}; windows with rows: {known}")
    return chosen


def _todos(settings: Settings, product: ModelProduct, archive: Archive, partitions: list[str]) -> Iterator[Todo]:
    step, folder = ScoresStep(product=product, archive=archive, settings=settings), settings.serving(product.name)
    now = product_now(folder, datetime.now(UTC))
    for partition in partitions:
        if not is_over(product, parse(partition)[1], now):
            continue
        status, why = step.status(partition)
        if status == "done":
            status, why = _left_undone(product, archive, settings, partition)
        if status != "done":
            yield Todo(job="scores", partition=partition, why=f"{status}, {why}")


def _left_undone(product: ModelProduct, archive: Archive, settings: Settings, partition: str) -> tuple[str, str]:
    """Return what a killed run has left undone about scores that are made."""
    heads = [archive.head(Place(product=product.name, stage=stage, partition=partition)) for stage in SEAL]
    sealed = heads[0]
    if sealed is None or unsealed_scores(archive, settings.serving(product.name), partition, sealed):
        return "scored", "not sealed"
    return ("done", "") if all(heads) else ("sealed", "not judged")
