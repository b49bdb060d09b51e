"""A file -> its rows answered and logged, part by part: each once, also if the run is killed on the way and run again.

What a run goes by (its time, its champions) is noted under `scored/runs/`: one that goes on with it gives the same ids.
Answers lie in `scored/<window>/<segment>/` before they are shown, and are sealed with their window.
"""

import io
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from mlops_assets.evidence.records import Struct
from mlops_assets.evidence.store import replace
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.intake.sources import SourceError
from mlops_assets.product import ModelProduct
from mlops_assets.serving.scoring.answering import NOT_LOGGED, Scorer
from mlops_assets.serving.scoring.champions import Answering, answerer
from mlops_assets.serving.scoring.known import keep_scored
from mlops_assets.serving.scoring.placing import Place, Roles, declared_roles, keyed, placed
from mlops_assets.serving.scoring.reading import Part
from mlops_assets.serving.scoring.written import COLUMNS
from mlops_assets.settings import Settings

SHOWN = 100  # problems that are remembered
_ANSWER = ("inference_id", "output", "class", "decision", "version")


class Run(Struct, frozen=True, kw_only=True):
    """What a run goes by from its first row to its last; `name` is of what it scores and with what."""

    name: str
    at: datetime
    champions: dict[str, Answering]
    segment: str | None
    roles: Roles
    finished: bool = False


@dataclass(kw_only=True)
class Tally:
    """What became of the rows so far; `by` counts the answers of each version, `problems` are (row, reason)."""

    rows: int = 0
    refused: int = 0
    first: str | None = None
    windows: set[str] = field(default_factory=set[str])
    by: dict[str, int] = field(default_factory=dict[str, int])
    problems: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


def roles_of(product: ModelProduct, columns: list[str], segment: str | None, *, now: bool) -> Roles:
    """Return which of a file's `columns` place its rows; time and key may be missing, and with `now` no time counts.

    Raises:
        SourceError: If nothing says which segment its rows are of.
    """
    roles = declared_roles(product)
    if roles.segment is not None and segment is None and roles.segment not in columns:
        near = did_you_mean(roles.segment, columns)
        right = f"right is such a column{near}, or --segment with one of {', '.join(product.segments)}"
        raise SourceError(f"no column {roles.segment!r} says the segment; {right}; columns: {', '.join(columns)}")
    return Roles(
        time=None if now or roles.time not in columns else roles.time,
        key=roles.key if roles.key in columns else None,
        segment=None if segment is not None else roles.segment,
    )


class Scoring:
    """One run over one file; `tally` is what has become of it."""

    def __init__(self, product: ModelProduct, settings: Settings, file: Path, run: Run) -> None:
        """Load no model before a row needs it."""
        self._product, self._settings, self._file, self._run = product, settings, file, run
        self._folder = settings.serving(product.name)
        self._scorers: dict[str, Scorer] = {}
        self.tally = Tally()

    def part(self, number: int, part: Part) -> pl.DataFrame:
        """Answer and log some rows, and return a line for each of them in their order.

        Raises:
            SourceError: If a column that a champion reads is missing.
        """
        rows, reasons = placed(
            part.rows, self._product, self._run.roles, Place(segment=self._run.segment, at=self._run.at)
        )
        rows = keyed(rows, self._run.roles)
        rows = rows.with_columns(row=pl.int_range(1, pl.len() + 1) + part.first, refused=reasons)
        lines = [_lines(rows.filter(pl.col("refused").is_not_null()))]
        for (segment,), mine in rows.filter(pl.col("refused").is_null()).partition_by("_segment", as_dict=True).items():
            lines.append(self._answered(str(segment), mine, number, part.rows.columns))
        whole = pl.concat(lines).sort("row")
        self._count(whole)
        return whole

    def _answered(self, segment: str, rows: pl.DataFrame, number: int, columns: list[str]) -> pl.DataFrame:
        if segment not in self._run.champions:
            return _lines(rows.with_columns(refused=pl.lit(f"segment {segment!r} has no champion yet")))
        named = self._run.roles.key or self._run.roles.time
        numbers = None if named else rows.select(pl.format(f"{self._run.name} {{}}", "row")).to_series()
        found = self._scorer(segment, columns).answers(rows, numbers)
        fits = rows.gather(found.places)
        self._log(segment, number, found.rows.with_columns(fits["_window"]))
        answers = found.rows.select(name for name in _ANSWER if name in found.rows.columns)
        told = rows.with_columns(refused=found.refused)
        good, wrong = pl.concat([fits, answers], how="horizontal"), told.filter(found.refused.is_not_null())
        return pl.concat([_lines(good), _lines(wrong)])

    def _scorer(self, segment: str, columns: list[str]) -> Scorer:
        if segment not in self._scorers:
            by = self._run.champions[segment]
            self._scorers[segment] = Scorer(answerer(self._settings, self._product, segment, by, self._file))
            self._scorers[segment].check(columns, str(self._file))
        return self._scorers[segment]

    def _log(self, segment: str, number: int, answers: pl.DataFrame) -> None:
        """Put answers where the sealing of their windows finds them. The same run puts them into the same files."""
        logged = answers.drop(NOT_LOGGED, strict=False).with_columns(writer=pl.lit(f"score {self._run.name}"))
        for (window,), mine in logged.partition_by("_window", as_dict=True, include_key=False).items():
            once = mine.unique("inference_id", keep="first", maintain_order=True)
            name, data = f"{self._run.name}-{number:06}", io.BytesIO()
            once.write_parquet(data, compression="zstd", compression_level=1)
            keep_scored(self._folder, str(window), f"{segment}/{name}", once["inference_id"])
            replace(self._folder / "scored" / str(window) / segment / f"{name}.parquet", data.getvalue())
            self.tally.windows.add(str(window))

    def _count(self, lines: pl.DataFrame) -> None:
        tally, wrong = self.tally, lines.filter(pl.col("refused").is_not_null())
        tally.rows += lines.height
        tally.refused += wrong.height
        tally.problems += wrong.select("row", "refused").head(SHOWN - len(tally.problems)).rows()
        for version, count in lines["version"].drop_nulls().value_counts().iter_rows():
            tally.by[f"{self._product.name}@{version}"] = tally.by.get(f"{self._product.name}@{version}", 0) + count
        tally.first = tally.first or next(iter(lines["inference_id"].drop_nulls().head(1)), None)


def _lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as they are written out."""
    named = {"at": "_time", "segment": "_segment", "key": "_key"}
    cells = {name: pl.col(named.get(name, name)) for name in COLUMNS if named.get(name, name) in rows.columns}
    return rows.select(cells.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in COLUMNS.items())
