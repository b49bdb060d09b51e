"""Rows of a table and the answers that there are already -> the answers of all: each row is answered once.

Answers are not taken back. A row that has changed (the same key at the same time) is answered anew, and its answer
before stays in the record before. What is no longer in the table stays too: the next batch may be written over it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from mlops_assets.dataset.quarantine import quarantine_table
from mlops_assets.serving.log.sealed import BASE
from mlops_assets.serving.scoring.answering import Scorer
from mlops_assets.serving.scoring.reading import PART

_ROW = ["key", "at"]  # what a row is, whatever it holds


class Scored(NamedTuple):
    """A window's scores: its answers in the form of sealed predictions, and rows without an id, with why in `refused`.

    `set_aside` are the latter as they were read, as text, with `_reason`, without personal columns; `kept` answers are
    from before, the others were made now.
    """

    scores: pl.DataFrame
    set_aside: pl.DataFrame
    kept: int

    @property
    def answered(self) -> int:
        """How many rows have an answer."""
        return self.scores["inference_id"].count()


def scored(rows: pl.DataFrame, champion: Scorer, earlier: pl.DataFrame, answered_by: Iterable[Scorer]) -> Scored:
    """Return the answers to placed `rows`, and the `earlier` ones that stand; those were given by `answered_by`."""
    stand, left = _standing(rows, champion, answers_in(earlier), answered_by)
    tables, refused, aside = [stand], list[pl.DataFrame](), list[pl.DataFrame]()
    for at in range(0, left.height, PART):  # a part at a time, so that what is made on the way takes little memory
        part = left[at : at + PART]
        found = champion.answers(part)
        tables.append(found.rows)
        wrong = part.with_columns(_reason=found.refused).filter(found.refused.is_not_null())
        aside.append(quarantine_table(champion.by.keeping.aside(wrong.drop("_time", "_key", "_segment"))))
        refused.append(champion.named(wrong).with_columns(wrong.select(segment="_segment", refused="_reason")))
    whole = pl.concat(tables, how="diagonal_relaxed").unique("inference_id", keep="first", maintain_order=True)
    scores = pl.concat([no_scores(), whole, *refused], how="diagonal_relaxed").sort("at", "key", maintain_order=True)
    return Scored(scores.select(_for_people(scores)), quarantine_table(*aside), stand.height)


def no_scores() -> pl.DataFrame:
    """Return the scores of a window without rows."""
    return pl.DataFrame(schema={**BASE, "decision": pl.Boolean(), "refused": pl.String()})


def answers_in(scores: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that were answered."""
    return scores.filter(pl.col("inference_id").is_not_null()).drop("refused")


def _standing(
    rows: pl.DataFrame, champion: Scorer, earlier: pl.DataFrame, answered_by: Iterable[Scorer]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the earlier answers that stand, and the rows that none of them is for."""
    left, known = rows, earlier["inference_id"]
    right = pl.Series([False]).new_from_index(0, earlier.height)
    for scorer in answered_by if earlier.height else ():
        _, refused, ids = scorer.ids(left)
        found = refused.is_null() & ids.is_in(known.implode())
        right = right | known.is_in(ids.filter(found).implode())
        left = left.filter(~found)
    there = champion.named(rows).unique().with_columns(_there=True)
    replaced = earlier.select(_ROW).join(there, on=_ROW, how="left", maintain_order="left")["_there"].is_not_null()
    return earlier.filter(right | ~replaced), left


def _for_people(scores: pl.DataFrame) -> list[str]:
    """Return the columns with what one looks for first: id, key, what was said, by whom."""
    first = ["inference_id", "at", "segment", "key", "output", "class", "decision", "version", "refused"]
    own = [name for name in first if name in scores.columns]
    return [*own, *(name for name in scores.columns if name not in own)]
