"""What is missing, failed or stale, in dependency order, made here with progress. Started again, it continues."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place, canonical
from mlops_assets.evidence.step import Step, parse
from mlops_assets.intake.ingest import Manifest, ingest
from mlops_assets.operations.flow import step
from mlops_assets.operations.foreground import foreground
from mlops_assets.operations.progress import progress
from mlops_assets.operations.status import without_champion
from mlops_assets.operations.watch import gate_line
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.settings import Settings

SHOWN = 500  # characters of what a failed check found


@dataclass(frozen=True, kw_only=True)
class Todo:
    """One run to make: a job, its partition, and why."""

    job: str
    partition: str
    why: str


def backfill(
    settings: Settings, name: str, *, stage: str | None, windows: str | None, segments: str | None, dry_run: bool
) -> int:
    """Make what is not up to date and return 0, or 1 if a run failed; `dry_run` only lists it.

    Without `stage`, data is made for every window and a model for the newest window of each segment.

    Raises:
        NotReady: If the source cannot be read.
        LookupError: If a window or segment is not there.
    """
    product = read_catalogue(settings.defs).product(name)
    manifest = ingest(Archive(settings.home), product, settings)
    chosen = _chosen(product, manifest, windows, segments)
    _tell_unplaced(name, manifest)
    data = list(_data(product, settings, chosen, stage))
    if dry_run:
        models = (
            [Todo(job="retrain", partition=p, why="after its data") for p in _model_partitions(product, chosen, stage)]
            if data
            else (list(_models(product, settings, chosen, stage)))
        )
        for todo in [*data, *models]:
            print(f"{todo.job:8} {todo.partition:32} {todo.why}")
        print(f"{len(data)} data and {len(models)} model runs to make; nothing was run")
        return 0
    failed = run_all(settings, product, data)
    failed += run_all(settings, product, list(_models(product, settings, chosen, stage)))
    unserved = [] if stage in tuple(DATA) else list(_unserved(Archive(settings.home), product, chosen))
    if not failed:
        print("\n".join(unserved) or f"{name}: everything is up to date ({len(chosen)} partitions)")
    return 1 if failed or unserved else 0


def _chosen(product: ModelProduct, manifest: Manifest, windows: str | None, segments: str | None) -> list[str]:
    """Return the partitions with rows, in order of window, cut to what was asked for."""
    first, _, last = (windows or "").partition("...")
    last = last or first
    wanted = set(segments.split(",")) if segments else set(product.segments)
    if unknown := wanted - set(product.segments):
        raise LookupError(f"no segment {min(unknown)!r}; known segments: {', '.join(product.segments)}")
    found = sorted(manifest.partitions, key=lambda partition: (parse(partition)[1], parse(partition)[0]))
    chosen = [p for p in found if parse(p)[0] in wanted and (not windows or first <= parse(p)[1] <= last)]
    if not chosen:
        known = f"{parse(found[0])[1]}...{parse(found[-1])[1]}" if found else "none"
        raise LookupError(f"no window of {product.name} with rows in {windows!r}; windows with rows: {known}")
    return chosen


def _data(product: ModelProduct, settings: Settings, partitions: list[str], stage: str | None) -> Iterator[Todo]:
    upto = DATA[: DATA.index(Stage(stage)) + 1] if stage in tuple(DATA) else DATA
    steps = [step(each, product, settings) for each in upto]
    for partition in partitions:
        for each in steps:
            status, why = each.status(partition)
            if status != "done":
                yield Todo(job="data", partition=partition, why=f"{each.stage}: {status}" + (f", {why}" if why else ""))
                break


def _models(product: ModelProduct, settings: Settings, partitions: list[str], stage: str | None) -> Iterator[Todo]:
    model = step(Stage.MODEL, product, settings)
    champion = step(Stage.CHAMPION, product, settings)
    for partition in _model_partitions(product, partitions, stage):
        status, why = model.status(partition)
        if status == "done":
            why = _left_undone(champion, partition)
        if status != "done" or why:
            yield Todo(job="retrain", partition=partition, why=f"model: {status}, {why}")


def _left_undone(champion: Step, partition: str) -> str:
    """Return what a killed run has left undone about a model that is made; nothing if it is decided and deployed."""
    candidate, decision = champion.input(Stage.MODEL, partition), champion.archive.head(champion.place(partition))
    if decision is None or decision.record.inputs[0].record != candidate.id:
        return "not yet decided on"
    rules = champion.prepare(partition).recipe.params
    if decision.record.facts["answer"] in ("refuse", "wait") and canonical(rules) != canonical(decision.record.params):
        return "the gate's rules have changed since it was decided on"
    product = champion.product
    deployed = read_deployment(champion.settings.serving(product.name))
    moves = [champion.archive.ledger.champion(product.name, segment) for segment in product.segments]
    champions = {act.segment: act.version for act in moves if act is not None}
    routed = {segment: route.version for segment, route in deployed.routes.items()} if deployed else {}
    return "" if routed == champions else "not yet deployed"


def _model_partitions(product: ModelProduct, partitions: list[str], stage: str | None) -> list[str]:
    if stage in tuple(DATA):
        return []
    if stage == Stage.MODEL:
        return partitions
    newest = {parse(partition)[0]: partition for partition in partitions}
    return list(newest.values())


def run_all(settings: Settings, product: ModelProduct, todos: list[Todo]) -> int:
    """Execute `todos` and return how many failed; a failed one stops nothing but what depends on it."""
    if not todos:
        return 0
    failed = 0
    loop, archive = foreground(settings), Archive(settings.home)
    with progress(len(todos)) as report:
        for todo in todos:
            ran = loop.run(f"{product.name}_{todo.job}", todo.partition)
            failed += not ran.success
            answer = gate_line(archive, product, todo.partition) if todo.job == "retrain" else None
            found = _failed_checks(archive, product, todo.partition) if todo.job == "data" else ()
            said = answer if ran.success else f"failed: {'; '.join([*ran.problems, *found])}"
            report(f"{todo.job} {todo.partition}", said)
    return failed


def _failed_checks(archive: Archive, product: ModelProduct, partition: str) -> Iterator[str]:
    """Yield what the failed checks of a partition's data found."""
    for stage in DATA:
        held = archive.head(Place(product=product.name, stage=stage, partition=partition))
        for check in held.record.checks if held else ():
            if held and check.name in held.record.failed:
                found = check.facts.get("sample") or check.facts.get("problems") or check.facts
                yield f"{stage}: {check.name}: {json.dumps(found, ensure_ascii=False)[:SHOWN]}"


def _unserved(archive: Archive, product: ModelProduct, partitions: list[str]) -> Iterator[str]:
    """Yield, for each segment that was to get a champion and has none, why its newest candidate is not it."""
    for segment in dict.fromkeys(parse(partition)[0] for partition in partitions):
        acts = [act for act in archive.ledger.acts(product.name, "refuse", "reject", "wait") if act.segment == segment]
        if archive.ledger.champion(product.name, segment) is None and acts and acts[-1].kind != "wait":
            yield f"{product.name}[{segment}]: {without_champion(archive, product, segment)}"


def _tell_unplaced(name: str, manifest: Manifest) -> None:
    for reason, count in manifest.unplaced.items():
        print(f"{name}: {count:,} rows belong to no partition: {reason}")
