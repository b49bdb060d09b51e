"""Current records of a product -> what is wrong with each, remembered by record: only what changed is read again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Check, Place
from mlops_assets.evidence.store import replace
from mlops_assets.product import Stage

JUDGING = (Stage.DRIFT, Stage.PERFORMANCE)
LIVE = (Stage.PREDICTIONS, Stage.PROFILE, *JUDGING)
VERDICTS = ("no_drift", "no_concept_drift")  # checks that repeat the verdict
COARSE = timedelta(seconds=2)  # two changes of a folder within the clock's grain have one mtime


class Head(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A partition's current record, and the stamp of its head. `clear`: it says whether something is wrong.

    `marks` are (kind, words) of what is wrong, `failed` tells which blocking checks failed. Of a record that is fine
    only its id is kept.
    """

    stamp: tuple[int, int]
    record: str
    clear: bool = True
    failed: str = ""
    marks: tuple[tuple[str, str], ...] = ()
    version: int = 0
    at: str = ""


class StageHeads(msgspec.Struct, frozen=True):
    """The heads of a stage by partition, and the state of their folder when they were read (0: read it again)."""

    changed_ns: int
    heads: dict[str, Head]


Heads = dict[str, StageHeads]


def current_heads(archive: Archive, product: str, now: datetime) -> Heads:
    """Return what the product's current records say, by stage; what was not known yet is kept for the next time.

    Raises:
        BrokenEvidence: If a record is missing or changed.
    """
    kept = archive.home / "alerts" / "heads" / f"{product}.json"
    before = _kept(kept)
    after = {stage.value: each for stage in Stage if (each := _stage(archive, product, stage, before, now))}
    if after != before:
        replace(kept, msgspec.json.encode(after))
    return after


def _kept(path: Path) -> Heads:
    """Return what is remembered; nothing if it cannot be read, since all of it can be had from the records."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Heads)
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def _stage(archive: Archive, product: str, stage: Stage, before: Heads, now: datetime) -> StageHeads | None:
    folder = archive.home / "heads" / product / stage
    if not folder.exists():
        return None
    changed_ns = folder.stat().st_mtime_ns  # before the listing: what changes after it shows the next time
    known = before.get(stage.value, StageHeads(0, {}))
    if known.changed_ns == changed_ns:
        return known
    heads = {
        partition: known.heads[partition]
        if partition in known.heads and known.heads[partition].stamp == stamp
        else _head(archive, Place(product=product, stage=stage, partition=partition), stamp)
        for partition, stamp in archive.stamps(product, stage).items()
    }
    settled = now.timestamp() * 1e9 - changed_ns > COARSE.total_seconds() * 1e9
    return StageHeads(changed_ns if settled else 0, heads)


def _head(archive: Archive, place: Place, stamp: tuple[int, int]) -> Head:
    held = archive.head(place)
    if held is None:  # the whole deployment is being removed
        return Head(stamp, "")
    record, stage = held.record, Stage(place.stage)
    failed = "; ".join(_said(check) for check in record.checks if check.name in record.failed)
    marks = tuple(_marks(stage, held)) if stage in LIVE else ()
    clear = stage not in JUDGING or record.facts.get("state") != "cannot tell"
    if not failed and not marks:
        return Head(stamp, held.id, clear)
    return Head(stamp, held.id, clear, failed, marks, int(str(record.facts.get("version") or 0)), held.envelope.at)


def _marks(stage: Stage, held: Held) -> Iterator[tuple[str, str]]:
    """Yield kind and words of what a live window shows: its verdict, and every check that warns."""
    record = held.record
    if stage in JUDGING and record.facts.get("state") == "drift":
        yield f"{record.facts['kind']} drift", str(record.facts["words"])
    for check in record.checks:
        if not check.passed and check.name not in (*VERDICTS, *record.failed):
            yield f"{check.name} warns", _said(check)


def _said(check: Check) -> str:
    """Return a failed check with its numbers, or with its counts of rows if it has them."""
    rows = check.facts.get("failing_rows"), check.facts.get("rows")
    if None not in rows:
        return f"{check.name} ({rows[0]} of {rows[1]} rows, set aside with their reason)"
    numbers = [f"{name} {value:.4g}" for name, value in check.facts.items() if isinstance(value, int | float)]
    return f"{check.name} ({', '.join(numbers)})" if numbers else check.name
