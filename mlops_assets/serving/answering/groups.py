"""A request's rows -> groups of those that one model answers, scored; what a canary fails at the champion answers."""

from collections.abc import Sequence

import msgspec
import polars as pl
from msgspec import UNSET

from mlops_assets.product import ModelProduct
from mlops_assets.serving.requests.decoder import Decoded
from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.requests.inputs import is_object
from mlops_assets.serving.requests.refusal import Problem, Refused, bad_rows, told
from mlops_assets.serving.routing.lanes import Answerer, Lane
from mlops_assets.serving.routing.router import Table
from mlops_assets.training.predictor import Score


class Group(msgspec.Struct, frozen=True, gc=False):
    """The rows of a request that one model answers, with their places in it.

    `given` are the rows as the champion reads them, `rows` as `by` does. `failed` is who was to answer them, or some of
    them, and could not.
    """

    by: Answerer
    lane: Lane
    places: Sequence[int]
    rows: list[Decoded]
    scores: list[Score]
    given: list[Decoded]
    failed: Answerer | None = None

    def tell(self, us: int, *, single: bool, leading: bool = True) -> None:
        """Count in its tally a request that took `us`: `single` has no other row, `leading` has its first.

        Beside a canary only what chance gave to either tells them apart. So no latency of a batch that was shared out
        by a sticky column, whose size decides who has a part of it; and nothing of who named the champion's version.
        """
        lane, tally = self.lane, self.by.tally
        rows = self.scores if leading else ()
        if lane.salted is not None and lane.rival is None:
            tally.answered_for(None, us, (), shared=True)
        elif lane.sticky is None:
            tally.answered(us, rows)
        else:
            tally.answered_for(lane.key_of(self.given[0]), us, rows, shared=not single)


class Scorer:
    """Decodes, routes and scores requests. May be used from several threads."""

    def __init__(self, product: ModelProduct) -> None:
        """Tell a row's segment as `product` declares it."""
        self._segments = product.segments
        self._field = product.source.segment

    def groups(self, table: Table, form: Form, id_: bytes) -> list[Group]:
        """Return the rows of a request, scored; `id_` decides who answers those whose key does not.

        Raises:
            Refused: If the rows do not fit, or there is no model for them.
        """
        if form.kind != "row":
            return self._many(table, form, id_)
        lane = table.lane(self._segment(form.segment, None))
        if form.version is not None:
            lane = lane.only(form.version)
        rows = [lane.champion.model.decoder.one(form.body)]
        if lane.rival is None:
            return [_by_champion(lane, (0,), rows, None, alone=True)]
        return _by_either(lane, (0,), rows, id_, alone=True)

    def _many(self, table: Table, form: Form, id_: bytes) -> list[Group]:
        rows = form.rows
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            found = row.get(self._field, UNSET) if is_object(row) and self._field else UNSET
            places.setdefault(self._segment(found, place), []).append(place)
        groups: list[Group] = []
        for segment, chosen in places.items():
            lane = table.lane(segment) if form.version is None else table.lane(segment).only(form.version)
            decoded = lane.champion.model.decoder.many([rows[place] for place in chosen], chosen, form.written)
            groups += _by_either(lane, chosen, decoded, id_, alone=False)
        return groups

    def _segment(self, found: object, place: int | None) -> str:
        if self._field is None:
            return self._segments[0]
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found)
        shown = "nothing (missing)" if found is UNSET else told(found)
        right = f"one of the segments {', '.join(self._segments)}"
        raise bad_rows([Problem(row=place, field=self._field, found=shown, right=right)])


def _by_either(lane: Lane, places: Sequence[int], rows: list[Decoded], id_: bytes, *, alone: bool) -> list[Group]:
    """Return rows by who answers them; where the canary or split fails, the champion answers all in one go."""
    if lane.rival is None:
        return [_by_champion(lane, places, rows, None, alone=alone)]
    theirs = [at for at, row in enumerate(rows) if lane.choose(lane.key_of(row) or id_) is lane.rival]
    if not theirs:
        return [_by_champion(lane, places, rows, None, alone=alone)]
    tried = _by_rival(lane, [places[at] for at in theirs], [rows[at] for at in theirs], alone=alone)
    if tried is None:
        return [_by_champion(lane, places, rows, lane.rival, alone=alone)]
    if len(theirs) == len(rows):
        return [tried]
    others = sorted(set(range(len(rows))) - set(theirs))
    mine = _by_champion(lane, [places[at] for at in others], [rows[at] for at in others], None, alone=False)
    return [mine, tried]


def _by_rival(lane: Lane, places: Sequence[int], given: list[Decoded], *, alone: bool) -> Group | None:
    """Return what the canary or split says of rows that the champion can read; None if it fails, however it does."""
    by = lane.rival
    assert by is not None
    try:
        rows = lane.read(by, given, places)
        return Group(by, lane, places, rows, scores_of(by, rows, alone=alone), given)
    except Refused:  # its message names values of the row
        by.tally.why = "it cannot read rows that the champion can"
    except Exception as error:
        by.tally.explain(error)
    return None


def _by_champion(
    lane: Lane, places: Sequence[int], rows: list[Decoded], failed: Answerer | None, *, alone: bool
) -> Group:
    by = lane.champion
    try:
        return Group(by, lane, places, rows, scores_of(by, rows, alone=alone), rows, failed)
    except Refused:  # the rows are at fault
        raise
    except Exception as error:
        by.tally.errors += 1
        by.tally.explain(error)
        raise


def scores_of(by: Answerer, rows: list[Decoded], *, alone: bool) -> list[Score]:
    """Return the scores of rows by one model; a request of one row (`alone`) is scored as such.

    Raises:
        Refused: 422 if its features function cannot take them.
    """
    predictor = by.model.predictor
    try:
        return [predictor.one(rows[0].values)] if alone else predictor.many([row.values for row in rows])
    except pl.exceptions.PolarsError as error:
        raise Refused(422, f"the features function {by.model.spec.transform} cannot take this: {error}") from error
