"""The journal's envelopes -> what was spent on each record of a product, also on superseded ones.

What was read once is kept, so that only new lines of the journal are read again. It can be made anew at any time.
"""

from pathlib import Path

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.chain import GENESIS, Link
from mlops_assets.evidence.records import BrokenEvidence, Envelope, Json, Record
from mlops_assets.evidence.store import replace
from mlops_assets.product import Stage


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """What a decision record says of a candidate: its version, and the metric of it and of the champion then."""

    version: int
    answer: str
    candidate: float | None = None
    champion: float | None = None


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What one making of a record took; `inputs` are the records it read. `measured`: CPU and GPU time are known.

    Times are in s, `bytes` is the size of its files, `at` when it was made.
    """

    record: str
    stage: str
    partition: str
    at: str
    run: str | None
    measured: bool
    cpu_s: float
    gpu_s: float
    wall_s: float
    rows_in: int
    rows_out: int
    bytes: int
    inputs: list[str]
    decided: Decided | None = None


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """How far the journal was read, in bytes, the hash of the last line read, and what those lines came to."""

    offset: int = 0
    last: str = GENESIS
    entries: list[Spent] = []


def spent(archive: Archive, product: str) -> list[Spent]:
    """Return what was spent on each record of `product`, oldest first.

    Raises:
        BrokenEvidence: If the journal, an envelope or a record that was not read before is not as it was written.
    """
    path = archive.home / "costs" / f"{product}.json"
    before = _kept(path)
    after = _read_on(archive, product, before)
    if after is None:  # the journal is another one
        after = _read_on(archive, product, _Kept()) or _Kept()
    if after.offset != before.offset or after.last != before.last:
        replace(path, msgspec.json.encode(after))
    return after.entries


def _kept(path: Path) -> _Kept:
    """Return what was read before; nothing if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (FileNotFoundError, msgspec.MsgspecError):
        return _Kept()


def _read_on(archive: Archive, product: str, kept: _Kept) -> _Kept | None:
    """Return `kept` with what the journal has beyond it; None if its next line does not follow from it."""
    journal = archive.journal.path
    if not journal.exists():
        return _Kept()
    with journal.open("rb") as file:
        file.seek(kept.offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return kept if journal.stat().st_size >= kept.offset else None
    last, entries = kept.last, list(kept.entries)
    for line in whole.split(b"\n")[:-1]:
        link = _link(journal, line)
        if link is None or link.previous != last:
            if kept.offset:
                return None
            raise BrokenEvidence(str(journal), "changed, removed or out of order; one line does not follow another")
        last = link.hash
        if str(link.body["place"]).startswith(f"{product}/"):
            entries.append(_spent(archive, str(link.body["record"]), str(link.body["envelope"])))
    return _Kept(kept.offset + len(whole), last, entries)


def _link(journal: Path, line: bytes) -> Link | None:
    try:
        return msgspec.json.decode(line, type=Link)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _spent(archive: Archive, record_id: str, envelope_id: str) -> Spent:
    record, envelope = archive.record(record_id), archive.envelope(envelope_id)
    cost = envelope.cost
    return Spent(
        record=record_id,
        stage=record.place.stage,
        partition=record.place.partition,
        at=envelope.at,
        run=envelope.run_id,
        measured=cost is not None,
        cpu_s=cost.cpu_s if cost else 0.0,
        gpu_s=cost.gpu_s if cost else 0.0,
        wall_s=float(envelope.duration_s),
        rows_in=cost.rows_in if cost else 0,
        rows_out=sum(output.rows or 0 for output in record.outputs),
        bytes=_bytes(envelope),
        inputs=[each.record for each in record.inputs],
        decided=_decided(record),
    )


def _bytes(envelope: Envelope) -> int:
    return sum(file.size for file in envelope.files)


def _decided(record: Record) -> Decided | None:
    facts = record.facts
    if record.place.stage != Stage.CHAMPION or not isinstance(version := facts.get("version"), int):
        return None
    candidate, champion = _number(facts.get("candidate")), _number(facts.get("champion"))
    return Decided(version, str(facts.get("answer")), candidate, champion)


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
