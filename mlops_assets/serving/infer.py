"""A request -> its logged answer: decode, route, score, log, and only then answer."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import polars as pl
from msgspec import UNSET

from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.ids import Ids, text
from mlops_assets.serving.log.writer import Body, LogWriter, Part, Row
from mlops_assets.serving.requests.answers import Scored, answer
from mlops_assets.serving.requests.decoder import Decoded, is_object
from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.requests.http import Answer
from mlops_assets.serving.requests.refusal import Problem, Refused, bad_rows, told
from mlops_assets.serving.routing.router import Answerer, Table, empty_table
from mlops_assets.training.predictor import Score

ASIDE = 64  # rows from which on a batch is scored in a thread, so that single rows need not wait for it
ASIDE_PIXELS = 65_536  # the same for images: to unpack so many takes about a millisecond


class _Group(NamedTuple):
    """The rows of a request that one model answers, with their places in it."""

    by: Answerer
    places: list[int]
    rows: list[Decoded]
    scores: list[Score]


class Inference:
    """Answers requests from `table`, which is replaced at once; a request keeps the one it began with."""

    def __init__(self, product: ModelProduct, log: LogWriter) -> None:
        """Answer 503 until a table is set."""
        self._product = product
        self._field = product.source.segment
        self._log = log
        self.ids = Ids()
        self.table = empty_table(product)

    @property
    def window_end_ms(self) -> int:
        """Return when the window of the open log file ends; 0 before the first prediction."""
        return self._log.end_ms

    def close_until(self, ms: int) -> None:
        """Finish the log of windows that ended by `ms`. No later id is from before."""
        self.ids.advance(ms)
        self._log.close_until(ms)

    async def answer(self, form: Form, ms: int, began_ns: int) -> Answer:
        """Return the answer to a request that was received at `ms`; it is logged by then.

        Raises:
            Refused: If the rows do not fit, or there is no model for them.
            LogRefused: If the log took nothing; then there is no answer either.
        """
        table = self.table
        if not table.answerers:
            raise Refused(503, f"{self._product.name} has no champion yet; the first one promoted is served at once")
        if _is_long(table, form):
            groups = await asyncio.to_thread(self._groups, table, form)
        else:
            groups = self._groups(table, form)
        id_ = self.ids.new(ms)
        single = sum(len(group.places) for group in groups) == 1
        parts = [_part(group, single) for group in groups]
        latency_us = (time.perf_counter_ns() - began_ns) // 1000
        self._log.append(id_, Body(latency_us, table.deployment or "", parts))
        name = text(id_)
        return answer(self._product.name, form.kind, name, _scored(groups, name, single), form.client_id)

    def _groups(self, table: Table, form: Form) -> list[_Group]:
        return [self._one(table, form)] if form.kind == "row" else self._many(table, form.rows)

    def _one(self, table: Table, form: Form) -> _Group:
        by = table.answerer(self._segment(form.segment, None))
        row = by.model.decoder.one(form.body)
        return _Group(by, [0], [row], [_whole(by, lambda: [by.model.predictor.one(row.values)])[0]])

    def _many(self, table: Table, rows: list[object]) -> list[_Group]:
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            found = row.get(self._field, UNSET) if is_object(row) and self._field else UNSET
            places.setdefault(self._segment(found, place), []).append(place)
        return [self._group(table.answerer(segment), rows, chosen) for segment, chosen in places.items()]

    def _group(self, by: Answerer, rows: list[object], places: list[int]) -> _Group:
        decoded = by.model.decoder.many([rows[place] for place in places], places)
        return _Group(by, places, decoded, _whole(by, lambda: by.model.predictor.many([row.values for row in decoded])))

    def _segment(self, found: object, place: int | None) -> str:
        if self._field is None:
            return self._product.segments[0]
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found)
        shown = "nothing (missing)" if found is UNSET else told(found)
        right = f"one of the segments {', '.join(self._product.segments)}"
        raise bad_rows([Problem(row=place, field=self._field, found=shown, right=right)])


def _is_long(table: Table, form: Form) -> bool:
    """Return whether a request takes so long that others should not wait for it."""
    pixels = max(by.model.decoder.pixels for by in table.answerers.values())
    return len(form.rows) >= ASIDE or pixels * max(len(form.rows), 1) >= ASIDE_PIXELS


def _whole(by: Answerer, score: Callable[[], list[Score]]) -> list[Score]:
    try:
        return score()
    except pl.exceptions.PolarsError as error:
        raise Refused(422, f"the features function {by.model.spec.transform} cannot take this: {error}") from error


def _part(group: _Group, single: bool) -> Part:
    rows = [
        Row(None if single else place, row.key, score.output, row.values, score.features)
        for place, row, score in zip(group.places, group.rows, group.scores, strict=True)
    ]
    return Part(group.by.segment, group.by.version, group.by.model.columns, rows)


def _scored(groups: list[_Group], id_: str, single: bool) -> list[Scored]:
    """Return the scores in the order of the request."""
    if single:
        return [Scored(id_, groups[0].by, groups[0].scores[0])]
    found = {
        place: Scored(f"{id_}.{place}", group.by, score)
        for group in groups
        for place, score in zip(group.places, group.scores, strict=True)
    }
    return [found[place] for place in range(len(found))]
