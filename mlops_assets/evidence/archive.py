"""Records on disk, and the one way a step is made: look up its recipe, run it only if new, write down what came."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from platform import node

import msgspec
import polars as pl

from mlops_assets.evidence.chain import Chain
from mlops_assets.evidence.code import origin
from mlops_assets.evidence.cost import Meter
from mlops_assets.evidence.ledger import Ledger, stamp
from mlops_assets.evidence.records import (
    BrokenEvidence,
    Check,
    Envelope,
    File,
    Input,
    Json,
    Output,
    Place,
    Recipe,
    Record,
    canonical,
    digest,
)
from mlops_assets.evidence.store import Store, replace


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a step computed: tables, and files as (bytes, suffix), by name. The first is what later steps build on.

    `gpu_s` is how long it used GPUs, in s, summed over them.
    """

    outputs: Mapping[str, pl.DataFrame | tuple[bytes, str]]
    checks: tuple[Check, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])
    gpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Held:
    """A record with its envelope."""

    id: str
    record: Record
    envelope: Envelope
    skipped: bool = False

    def as_input(self, output: str | None = None) -> Input:
        """Return how a later step names this record as its input."""
        root = self.record.output(output).root if output else self.record.root
        return Input(place=self.record.place, record=self.id, root=root)

    def file(self, name: str) -> File:
        """Return the stored file of the output `name`."""
        self.record.output(name)
        return next(file for file in self.envelope.files if file.name == name)


class Archive:
    """All evidence of one deployment: files, records, heads, journal and ledger under `home`."""

    def __init__(self, home: Path) -> None:
        """Use the folder `home`; nothing is created before something is written."""
        self.home = home
        self.store = Store(home)
        self.journal = Chain(home / "journal.jsonl")
        self.ledger = Ledger(home / "ledger.jsonl")

    def make(
        self, recipe: Recipe, inputs: list[Input], build: Callable[[], Built], *, run_id: str | None = None
    ) -> Held:
        """Return the record of `recipe`: the one there is if it is good, else a new one; the head then points to it."""
        known = self.made(recipe)
        if known is not None:
            self._point(recipe.place, known.id)
            return Held(id=known.id, record=known.record, envelope=known.envelope, skipped=True)
        meter, built = Meter(), build()
        stored = [self._put(name, output) for name, output in built.outputs.items()]
        record = Record(
            recipe=recipe.id,
            place=recipe.place,
            inputs=inputs,
            outputs=[output for output, _ in stored],
            checks=list(built.checks),
            params=recipe.params,
            seed=recipe.seed,
            state=recipe.state,
            facts=dict(built.facts),
            code=origin(recipe.code),
        )
        envelope = Envelope(
            record=record.id,
            files=[file for _, file in stored],
            at=stamp(datetime.now(UTC)),
            host=node(),
            run_id=run_id,
            duration_s=f"{meter.wall_s:.3f}",
            cost=meter.cost(stored, rows_in=sum(self._rows(each) for each in inputs), gpu_s=built.gpu_s),
        )
        return self._keep(record, envelope)

    def made(self, recipe: Recipe) -> Held | None:
        """Return the good record of `recipe`, if there is one whose files are all there."""
        pointer = self._path("recipes", recipe.id)
        if not pointer.exists():
            return None
        held = self.held(self._pointed(pointer))
        return held if all(self.store.holds(file) for file in held.envelope.files) else None

    def head(self, place: Place) -> Held | None:
        """Return the current record of `place`, or None before the first."""
        path = self._head(place)
        return self.held(self._pointed(path)) if path.exists() else None

    def heads(self, product: str, stage: str) -> dict[str, str]:
        """Return the current record id of every partition of a stage."""
        folder = self.home / "heads" / product / stage
        return {path.name: self._pointed(path) for path in sorted(folder.glob("[!.]*"))} if folder.exists() else {}

    def stamps(self, product: str, stage: str) -> dict[str, tuple[int, int]]:
        """Return what changes with the current record of every partition of a stage, without reading any.

        That is when its head was set, in ns since 1970, and the head's inode.
        """
        folder = self.home / "heads" / product / stage
        if not folder.exists():
            return {}
        with os.scandir(folder) as found:
            seen = [(each.name, each.stat()) for each in found if not each.name.startswith(".")]
        return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in seen}

    def point_back(self, place: Place, record_id: str) -> None:
        """Make an earlier record of `place` its current one again."""
        self._point(place, record_id)

    def has(self, record_id: str) -> bool:
        """Return whether there is a record of this id."""
        return self._path("records", record_id).is_file()

    def held(self, record_id: str) -> Held:
        """Return a record and its envelope, both compared with their hashes.

        Raises:
            BrokenEvidence: If one is missing or changed.
        """
        record = self.record(record_id)
        pointer = self._path("records", record_id).with_suffix(".envelope")
        if not pointer.exists():
            raise BrokenEvidence(str(pointer), "missing; it names the record's envelope")
        named = pointer.read_bytes().decode(errors="replace")
        if not (path := self._path("envelopes", named)).is_file():
            raise BrokenEvidence(str(pointer), f"changed, or missing is what it names, {path}")
        envelope = self.envelope(named)
        if envelope.record != record_id:
            raise BrokenEvidence(str(pointer), f"changed; it names the envelope of record {envelope.record[:12]}…")
        return Held(id=record_id, record=record, envelope=envelope)

    def record(self, record_id: str) -> Record:
        """Return a record, compared with its hash.

        Raises:
            BrokenEvidence: If it is missing or changed.
        """
        return msgspec.json.decode(self._verified("records", record_id), type=Record)

    def envelope(self, sha: str) -> Envelope:
        """Return the envelope of this hash, as the journal names it; of a record made twice it names both.

        Raises:
            BrokenEvidence: If it is missing or changed.
        """
        return msgspec.json.decode(self._verified("envelopes", sha), type=Envelope)

    def table(self, held: Held, name: str) -> pl.DataFrame:
        """Return a table that a record names, its bytes compared first."""
        return self.store.get_table(held.file(name))

    def scan(self, held: Held, name: str, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
        """Return what `query` makes of a table that a record names; its bytes are not compared."""
        return self.store.scan(held.file(name), query)

    def partitions(self, product: str, stage: str) -> list[str]:
        """Return the partitions of a stage that have a record, without reading any."""
        folder = self.home / "heads" / product / stage
        return sorted(name for name in os.listdir(folder) if name[0] != ".") if folder.exists() else []

    def data(self, held: Held, name: str) -> bytes:
        """Return the bytes of a file that a record names, compared first."""
        return self.store.get_bytes(held.file(name))

    def _rows(self, read: Input) -> int:
        """Return how many rows the output that was read has."""
        outputs = self.record(read.record).outputs if self.has(read.record) else []
        return next((output.rows or 0 for output in outputs if output.root == read.root), 0)

    def _put(self, name: str, output: pl.DataFrame | tuple[bytes, str]) -> tuple[Output, File]:
        if isinstance(output, pl.DataFrame):
            return self.store.put_table(name, output)
        return self.store.put_bytes(name, *output)

    def _keep(self, record: Record, envelope: Envelope) -> Held:
        """Write envelope, record, journal, recipe and head, in this order: what a crash leaves is never half seen."""
        sealed = canonical(envelope)
        replace(self._path("envelopes", digest(sealed)), sealed)
        replace(self._path("records", record.id), canonical(record))
        replace(self._path("records", record.id).with_suffix(".envelope"), digest(sealed).encode())
        with self.journal.writing():
            self.journal.append({"record": record.id, "envelope": digest(sealed), "place": str(record.place)})
        if not record.failed:
            replace(self._path("recipes", record.recipe), record.id.encode())
        self._point(record.place, record.id)
        return Held(id=record.id, record=record, envelope=envelope)

    def _point(self, place: Place, record_id: str) -> None:
        path = self._head(place)
        if not path.exists() or path.read_text() != record_id:
            replace(path, record_id.encode())

    def _pointed(self, path: Path) -> str:
        named = path.read_bytes().decode(errors="replace")
        if not self.has(named):
            raise BrokenEvidence(str(path), f"changed, or missing is the record that it names, {named[:64]!r}")
        return named

    def _verified(self, kind: str, sha: str) -> bytes:
        path = self._path(kind, sha)
        if not path.is_file():
            raise BrokenEvidence(str(path), "missing")
        data = path.read_bytes()
        if digest(data) != sha:
            raise BrokenEvidence(str(path), "changed; its content does not hash to its name")
        return data

    def _path(self, kind: str, sha: str) -> Path:
        return self.home / kind / sha[:2] / sha

    def _head(self, place: Place) -> Path:
        return self.home / "heads" / place.product / place.stage / place.partition
