"""A file of rows -> their predictions, now: logged as those of the endpoint are, and written beside the file."""

import fcntl
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import Struct, canonical, digest
from mlops_assets.evidence.step import NotReady
from mlops_assets.evidence.store import replace
from mlops_assets.intake.sources import SourceError, file_hash
from mlops_assets.product import ModelProduct
from mlops_assets.serving.scoring.by_hand import Run, Scoring, Tally, roles_of
from mlops_assets.serving.scoring.champions import champions
from mlops_assets.serving.scoring.reading import PART, header, parts, rows_in, where
from mlops_assets.serving.scoring.written import beside, check_kind, written
from mlops_assets.settings import Settings

TOLD = 10  # rows set aside that are told of one by one


class Problem(Struct, frozen=True, kw_only=True):
    """A row that was set aside: where it is, and why."""

    where: str
    reason: str


class Asked(NamedTuple):
    """What a file is scored for: `name` is of all of it, the file's content too."""

    name: str
    segment: str | None
    now: bool


class ScoredFile(Struct, frozen=True, kw_only=True):
    """What became of a file: rows, how many were answered by each version, where, and which were set aside."""

    product: str
    file: str
    out: str
    rows: int
    scored: int
    set_aside: int
    versions: dict[str, int]
    windows: list[str]
    first: str | None
    problems: list[Problem]

    @property
    def exit_code(self) -> int:
        """0 if every row was answered, 2 if some were, 1 if none was."""
        return 0 if not self.set_aside else 2 if self.scored else 1


def score(settings: Settings, name: str, file: Path, *, out: Path | None, segment: str | None, now: bool) -> ScoredFile:
    """Answer every row of `file` by its segment's champion, log the answers, write them, and return what became of it.

    A row is of the time that it names, else (and with `now`) of when the file was first scored.

    Raises:
        LookupError: If there is no such product or segment.
        NotReady: If the product has no champion.
        SourceError: If the file cannot be read, has no rows, or lacks a column.
    """
    product = read_catalogue(settings.defs).product(name)
    if segment is not None and segment not in product.segments:
        raise LookupError(f"no segment {segment!r}; known segments: {', '.join(product.segments)}")
    to = out or beside(file)
    check_kind(to)
    if not file.is_file():
        raise SourceError(f"no file {str(file)!r}")
    with _run(settings, product, file, segment, now=now) as run:
        tally = _scored(product, settings, file.resolve(), run, to)
    problems = [Problem(where=where(file, row), reason=reason) for row, reason in tally.problems]
    return ScoredFile(
        product=name,
        file=str(file),
        out=str(to),
        rows=tally.rows,
        scored=tally.rows - tally.refused,
        set_aside=tally.refused,
        versions=dict(sorted(tally.by.items())),
        windows=sorted(tally.windows),
        first=tally.first,
        problems=problems,
    )


def score_lines(found: ScoredFile) -> list[str]:
    """Return a scored file for people."""
    by = ", ".join(f"{count:,} by {version}" for version, count in found.versions.items())
    lines = [f"{found.file}: {found.scored:,} of {found.rows:,} rows scored" + (f" ({by})" if by else "")]
    lines += [f"  {each.where}: {each.reason}" for each in found.problems[:TOLD]]
    more = found.set_aside - min(len(found.problems), TOLD)
    lines += [f"  {more:,} more rows set aside; column `refused` of {found.out} says why"] if more else []
    lines.append(f"{found.out}: the predictions, a line for each row")
    if found.first:
        lines.append(f"next: mlops-assets trace {found.first}")
    return lines


@contextmanager
def _run(settings: Settings, product: ModelProduct, file: Path, segment: str | None, *, now: bool) -> Generator[Run]:
    """Give what a run goes by: what an unfinished one went by, so that it gives the same ids; it is finished after."""
    folder = settings.serving(product.name)
    asked = digest(canonical([product.name, file_hash(file, {}), segment, now]))
    note = folder / "scored" / "runs" / f"{asked}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.with_suffix(".lock").open("a") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        before = msgspec.json.decode(note.read_bytes(), type=Run) if note.exists() else None
        if before is None or before.finished:
            before = _begun(product, folder, file, Asked(asked, segment, now), before)
        run = before
        replace(note, msgspec.json.encode(run))
        yield run
        replace(note, msgspec.json.encode(msgspec.structs.replace(run, finished=True)))


def _begun(product: ModelProduct, folder: Path, file: Path, asked: Asked, before: Run | None) -> Run:
    """Return what a new run goes by: the time of the one before, if the same file is scored by the same champions."""
    found = champions(folder)
    if not found:
        raise NotReady(f"{product.name} has no champion yet; the first one that is promoted scores")
    same = before is not None and before.champions == found and not asked.now
    at = before.at if before is not None and same else product_now(folder, datetime.now(UTC))
    return Run(
        name=digest(canonical([asked.name, at.isoformat(), found]))[:12],
        at=at,
        champions=found,
        segment=asked.segment,
        roles=roles_of(product, header(file), asked.segment, now=asked.now),
    )


def _scored(product: ModelProduct, settings: Settings, file: Path, run: Run, out: Path) -> Tally:
    scoring, began, total = Scoring(product, settings, file, run), time.monotonic(), rows_in(file)
    with written(out) as write:
        for number, part in enumerate(parts(str(file), Path("/"))):
            write(scoring.part(number, part))
            if part.first or part.rows.height == PART:
                _tell(scoring.tally.rows, total, time.monotonic() - began)
        if not scoring.tally.rows:
            raise SourceError(f"{file}: has no rows")
    return scoring.tally


def _tell(done: int, total: int | None, took_s: float) -> None:
    """Say how far a long file is; not where the predictions or JSON go."""
    rate = done / took_s
    left = f" of {total:,}, {(total - done) / rate:.0f} s left" if total else ""
    print(f"  {done:,} rows{left} ({rate:,.0f} a second)", file=sys.stderr, flush=True)
