"""What the sensors did after a monitoring window closed: verdicts, decisions, trainings, in one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.loop import Ran
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One closed window: drift verdict by segment, the windows whose labels spoke of a concept drift, the trainings.

    `began` is when its sealing began, `retrained` the partitions trained, both as they were then.
    """

    window: str
    drift: Mapping[str, Held]
    concept: Mapping[str, str]
    retrained: tuple[str, ...]
    failed: tuple[str, ...]
    began: float
    line: str


def watch(settings: Settings, product: ModelProduct, at: datetime, ran: Sequence[Ran], began: float) -> Watched:
    """Return what `ran` came to for the window that holds `at`."""
    archive, window = Archive(settings.home), product.grid.key(at)
    heads = {s: archive.head(_place(product, Stage.DRIFT, s, window)) for s in product.segments}
    drift = {segment: held for segment, held in heads.items() if held is not None}
    sealed = sorted(run.partition for run in ran if run.partition and run.job.endswith("_seal"))
    concept = dict(_concept(archive, product, sealed))
    retrained = tuple(run.partition for run in ran if run.partition and run.job.endswith("_retrain"))
    said = [f"{segment} {_said(held)}" for segment, held in drift.items()]
    said += [f"{segment}: {words}" for segment, words in concept.items()]
    said += [f"retrained {partition}: {gate_line(archive, product, partition)}" for partition in retrained]
    failed = tuple(f"{run.job} {run.partition}: {'; '.join(run.problems)}" for run in ran if not run.success)
    return Watched(
        window=window,
        drift=drift,
        concept=concept,
        retrained=retrained,
        failed=failed,
        began=began,
        line=f"{window}  " + " | ".join([*said, *failed]),
    )


def gate_answer(archive: Archive, product: ModelProduct, partition: str) -> str:
    """Return what the gate said of the candidate of `partition`, with its reasons."""
    held = archive.head(Place(product=product.name, stage=Stage.CHAMPION, partition=partition))
    return f"{held.record.facts['answer']}: {'; '.join(held.record.facts['reasons'])}" if held else "failed"  # type: ignore[arg-type]


def gate_line(archive: Archive, product: ModelProduct, partition: str) -> str:
    """Return what the gate said, after the version that it is of."""
    held = archive.head(Place(product=product.name, stage=Stage.CHAMPION, partition=partition))
    version = f"{product.name}@{held.record.facts['version']}: " if held else ""
    return version + gate_answer(archive, product, partition)


def _concept(archive: Archive, product: ModelProduct, sealed: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for partition in sealed:
        held = archive.head(Place(product=product.name, stage=Stage.PERFORMANCE, partition=partition))
        if held is not None and held.record.facts["state"] == "drift":
            segment, _, window = partition.partition("|")
            found.append((segment, f"labels of {window}: {held.record.facts['words']}"))
    return found


def _said(held: Held) -> str:
    state = str(held.record.facts["state"])
    if state == "ok":
        smallest = dict(held.record.facts["smallest_shift"])  # type: ignore[call-overload]
        return f"ok (would have seen {min(smallest.values()):.2f} sd)" if smallest else "ok"
    return str(held.record.facts["words"])


def _place(product: ModelProduct, stage: Stage, segment: str, window: str) -> Place:
    return Place(product=product.name, stage=stage, partition=f"{segment}|{window}")
