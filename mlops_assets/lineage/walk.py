"""A record -> everything that it was made from, each hash computed anew; what is wrong or was left out is named."""

import time
from dataclasses import dataclass, field

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence


@dataclass(kw_only=True)
class Walk:
    """What a walk found: records by id in order of discovery, what is broken, and what could not be verified.

    Of the latter, `unread` files were not read for lack of time.
    """

    records: dict[str, Held] = field(default_factory=dict[str, Held])
    broken: list[str] = field(default_factory=list[str])
    unverified: list[str] = field(default_factory=list[str])
    unread: int = 0


def walk(
    archive: Archive, record_id: str, *, budget_s: float | None, ancestors: bool = True, into: Walk | None = None
) -> Walk:
    """Return the record `record_id` and, with `ancestors`, all that it was made from, newest first.

    Records and the small files (models) are always verified; the bytes of tables until `budget_s` is used up, None for
    no limit. What was not read is in `unverified`, what is missing or changed in `broken`.
    """
    found = into or Walk()
    deadline = None if budget_s is None else time.monotonic() + budget_s
    waiting = [record_id]
    while waiting:
        current = waiting.pop(0)
        if current in found.records:
            continue
        try:
            held = archive.held(current)
        except BrokenEvidence as problem:
            found.broken.append(str(problem))
            continue
        found.records[current] = held
        _verify_files(archive, held, deadline, found)
        waiting += [source.record for source in held.record.inputs] if ancestors else []
    return found


def _verify_files(archive: Archive, held: Held, deadline: float | None, found: Walk) -> None:
    for file in held.envelope.files:
        is_table = file.address.endswith(".parquet")
        if is_table and deadline is not None and time.monotonic() >= deadline:
            found.unverified.append(f"{held.record.place} {file.name}: {archive.home / file.address}")
            found.unread += 1
            continue
        try:
            archive.store.get_bytes(file)
        except BrokenEvidence as problem:
            found.broken.append(str(problem))
