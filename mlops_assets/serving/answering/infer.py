"""A request -> its logged answer: decode, route, score, log, and only then answer."""

import time

from msgspec.structs import replace

from mlops_assets.product import ModelProduct
from mlops_assets.serving.answering.groups import Group, Scorer
from mlops_assets.serving.explain.explain import reasons_of
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.ids import Ids, text
from mlops_assets.serving.log.writer import Body, LogWriter, Part, Row
from mlops_assets.serving.requests.answers import Scored, answer
from mlops_assets.serving.requests.aside import aside
from mlops_assets.serving.requests.decoder import Decoded
from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.requests.http import Answer
from mlops_assets.serving.requests.reading import LONG
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.requests.tensors import check_outputs
from mlops_assets.serving.routing.lanes import Lane
from mlops_assets.serving.routing.router import Table, empty_table
from mlops_assets.serving.routing.shadow import Shadow
from mlops_assets.training.predictor import Score

ASIDE = 64  # rows from which on a batch is scored in a thread, so that single rows need not wait for it
UNLOGGED = (b"mlops-unlogged", b"true")  # said of an answer that is served although the disk took nothing
ASIDE_PIXELS = 65_536  # the same for images: to unpack so many takes about a millisecond


class Inference:
    """Answers requests from `table`, which is replaced at once; a request keeps the one it began with."""

    def __init__(self, product: ModelProduct, log: DurableLog, shadow_log: LogWriter) -> None:
        """Answer 503 until a table is set; what shadows say goes into a log of its own."""
        self._product = product
        self._time_s = product.endpoint.limits.time.total_seconds()
        self._scorer = Scorer(product)
        self._log = log
        self.shadow = Shadow(shadow_log, _part)
        self.ids = Ids()
        self.table = empty_table(product)

    def close_until(self, ms: int) -> int:
        """Finish the log of windows that ended by `ms`, and return before when nothing will be logged any more.

        No later id is from before `ms`; but a slow disk may still have to take answers that are.
        """
        self.ids.advance(ms)
        self.shadow.close_until(ms)
        return self._log.close_until(ms)

    async def answer(self, form: Form, ms: int, began_ns: int) -> Answer:
        """Return the answer to a request that was received at `ms`; it is logged by then.

        Raises:
            Refused: If the rows do not fit, or there is no model for them.
            LogRefused: If the log took nothing, and unlogged answers are not served; then there is no answer either.
        """
        table = self.table
        if not table.lanes:
            raise Refused(503, f"{self._product.name} has no champion yet; the first one promoted is served at once")
        id_ = self.ids.new(ms)
        if _is_long(table, form):
            groups = await aside(self._time_s, self._scorer.groups, table, form, id_)
            id_ = self.ids.new(ms)  # or answers of the meantime would be in the log with greater ids than this one
        else:
            groups = self._scorer.groups(table, form, id_)
        if form.outputs.named:
            check_outputs(form.outputs, [group.by.model.spec for group in groups], explain=form.explain)
        reasons = None
        if form.explain:
            reasons = await aside(self._time_s, reasons_of, form, groups)
            id_ = self.ids.new(ms)
        single = len(groups) == 1 and len(groups[0].places) == 1
        parts = [_part(group, single) for group in groups]
        latency_us = (time.perf_counter_ns() - began_ns) // 1000
        logged = self._log.append(id_, Body(latency_us, table.deployment or "", parts))
        self._note(id_, table, groups, latency_us, single)
        if not isinstance(logged, bool):
            logged = await logged
        name = text(id_)
        made = answer(self._product.name, form, name, _scored(groups, name, single), reasons)
        return made if logged else replace(made, headers=(*made.headers, UNLOGGED))

    def _note(self, id_: bytes, table: Table, groups: list[Group], latency_us: int, single: bool) -> None:
        """Count an answer, and copy it to the shadows of its segments."""
        if single and (lane := groups[0].lane).salted is None and lane.shadow is None:  # as most requests are
            groups[0].by.tally.answered(latency_us, groups[0].scores)
            return
        first = {} if single else _first(groups)
        shadowed = False
        for group in groups:
            if group.failed is not None:
                group.failed.tally.errors += 1
            else:
                group.tell(latency_us, single=single, leading=single or first[group.lane] == group.places[0])
            shadowed = shadowed or group.lane.shadow is not None
        if shadowed:
            self.shadow.offer(id_, table.deployment or "", groups, single=single)


def _first(groups: list[Group]) -> dict[Lane, int]:
    """Return the place of the first row of each lane: whoever answered it, the request counts once, as that row's.

    Were it counted for each who answered a row of it, large requests would count more often for whose share is small.
    """
    first: dict[Lane, int] = {}
    for group in groups:
        first[group.lane] = min(group.places[0], first.get(group.lane, group.places[0]))
    return first


def _is_long(table: Table, form: Form) -> bool:
    """Return whether a request takes so long that others should not wait for it."""
    rows = len(form.rows)
    return rows >= ASIDE or len(form.body) >= LONG or table.pixels * max(rows, 1) >= ASIDE_PIXELS


def _part(group: Group, single: bool) -> Part:
    if single:
        rows = [_row(None, group.rows[0], group.scores[0])]
    else:
        rows = [_row(*each) for each in zip(group.places, group.rows, group.scores, strict=True)]
    model = group.by.model
    if model.keeper is not None:
        rows = model.keeper.rows(rows)
    return Part(group.by.segment, group.by.version, model.columns, rows, group.by.variant)


def _row(place: int | None, row: Decoded, score: Score) -> Row:
    return Row(place, row.key, score.output, row.values, score.features, None, score.probabilities)


def _scored(groups: list[Group], id_: str, single: bool) -> list[Scored]:
    """Return the scores in the order of the request."""
    if single:
        return [Scored(id_, groups[0].by, groups[0].scores[0])]
    found = {
        place: Scored(f"{id_}.{place}", group.by, score)
        for group in groups
        for place, score in zip(group.places, group.scores, strict=True)
    }
    return [found[place] for place in range(len(found))]
