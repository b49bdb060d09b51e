"""The evidence of one product's loop, kept from tick to tick: only what has changed is read again."""

import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.step import parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.alarms import Alarm, alarm_of
from mlops_assets.retraining.stored import Decisions

STAGES = (Stage.DRIFT, Stage.PERFORMANCE, Stage.FEATURES)
CERTAIN_NS = 2_000_000_000  # file systems keep times of change to a few milliseconds, the oldest ones to two seconds
_File = tuple[int, int]  # what changes with a head, as the archive stamps it


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a verdict's record says: which version it is about, and the alarm, if it is drift."""

    version: int
    alarm: Alarm | None


@dataclass(kw_only=True)
class _Heads:
    """The heads of one stage by segment and window, and the file that each was read from.

    `folder` is when the folder last changed, if it was long enough before the listing that no change can be missed.
    """

    files: dict[str, _File]
    records: dict[str, dict[str, str]]
    folder: int | None = None


class Reading:
    """Heads, verdicts, ledger and decisions of a product. `refresh` looks what has changed since; use one per thread.

    `mended` keeps what was found of a model on labelled windows, by their records (`mending`).

    Heads that stayed as they are cost one look at their folder, and one that changed a listing. Records never change,
    so what one says is kept; `trace` is what compares bytes and hashes again.
    """

    def __init__(self, home: Path, product: ModelProduct) -> None:
        """Read the evidence of `product` below `home`; nothing is read before `refresh`."""
        self.product = product
        self.archive = Archive(home)
        self.decisions = Decisions(home, product.name)
        self._heads = {stage: _Heads(files={}, records={}) for stage in STAGES}
        self._judged: dict[str, Judged] = {}
        self._held: dict[str, Held] = {}
        self.mended: dict[tuple[str, ...], str | None] = {}
        self._acts: list[Act] = []
        self._links = 0

    def refresh(self) -> None:
        """Read the heads that are new or replaced."""
        for stage, known in self._heads.items():
            folder = self.archive.home / "heads" / self.product.name / stage
            changed, now = folder.stat().st_mtime_ns if folder.exists() else 0, time.time_ns()
            if changed == known.folder:  # every head that is replaced is a change of its folder
                continue
            found = self.archive.stamps(self.product.name, stage)
            for gone in known.files.keys() - found.keys():
                segment, window = parse(gone)
                known.records.get(segment, {}).pop(window, None)
            for name in (name for name, file in found.items() if known.files.get(name) != file):
                segment, window = parse(name)
                known.records.setdefault(segment, {})[window] = (folder / name).read_text()
            known.files, known.folder = found, changed if now - changed > CERTAIN_NS else None

    def heads(self, stage: Stage, segment: str) -> dict[str, str]:
        """Return the current record of every window of a segment, for the stages `drift`, `performance`, `features`."""
        return self._heads[stage].records.get(segment, {})

    def acts(self) -> list[Act]:
        """Return the acts on the product, oldest first; only what is new is read."""
        links = self.archive.ledger.chain.links()
        if len(links) < self._links:  # the ledger was begun anew
            self._acts, self._links = [], 0
        new = [link.body for link in links[self._links :] if link.body["product"] == self.product.name]
        self._acts += [msgspec.convert(body, Act) for body in new]
        self._links = len(links)
        return self._acts

    def held(self, record: str) -> Held:
        """Return a record, read once."""
        if record not in self._held:
            self._held[record] = self.archive.held(record)
        return self._held[record]

    def judged(self, record: str) -> Judged:
        """Return what a verdict's record says, read once."""
        if record not in self._judged:
            self._judged[record] = self._judge(record)
        return self._judged[record]

    def _judge(self, record: str) -> Judged:
        held = self.archive.held(record)
        version = msgspec.convert(held.record.facts["version"], int)
        if held.record.facts["state"] != "drift":
            return Judged(version=version, alarm=None)
        verdict = msgspec.json.decode(self.archive.data(held, "verdict"), type=Verdict)
        window = parse(held.record.place.partition)[1]
        start, end = self.product.grid.bounds(window)
        return Judged(version=version, alarm=alarm_of(verdict, record=record, window=window, start=start, end=end))
