"""Who answers the rows of a request, also when the canary fails or reads rows otherwise."""

from dataclasses import replace

import msgspec
import pytest

from mlops_assets.serving.answering.groups import Scorer
from mlops_assets.serving.log.ids import Ids
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.model import ColumnSpec
from mlops_assets_tests.serving.loans import LOANS, route
from mlops_assets_tests.serving.routing.beside import STICKY, acting, canary, row_form, rows_form, table_of

ID = Ids().new(1_767_225_600_000)


class BrokenModel(Exception):
    """No error that anybody foresaw."""


def fail():
    raise BrokenModel("out of luck")


@pytest.fixture
def routes(settings, first, second):
    return route(settings, first, 1), route(settings, second, 2)


def test_a_canary_answers_in_its_own_name_what_it_is_asked(settings, routes, second):
    one, two = routes
    table = table_of(settings, one, canary(two, 1.0))

    [group] = Scorer(LOANS).groups(table, row_form(), ID)

    assert (group.by.variant, group.by.version, group.failed) == ("canary", 2, None)
    assert group.scores == [group.by.model.predictor.one((40, 2500.5, "nurse"))]


def test_a_canary_of_no_share_answers_nothing(settings, routes):
    one, two = routes
    table = table_of(settings, one, canary(two, 0.0))

    [group] = Scorer(LOANS).groups(table, row_form(), ID)

    assert group.by.variant == "champion"


def test_other_segments_have_no_canary(settings, routes):
    one, two = routes
    table = table_of(settings, one, canary(two, 1.0))

    [group] = Scorer(LOANS).groups(table, row_form(region="us"), ID)

    assert (group.by.variant, group.lane.rival) == ("champion", None)


@pytest.mark.parametrize("form", [row_form(), rows_form(range(40))], ids=["row", "rows"])
def test_what_a_canary_raises_at_the_champion_answers(settings, routes, form):
    one, two = routes
    table = acting(table_of(settings, one, canary(two, 1.0)), fail)

    [group] = Scorer(LOANS).groups(table, form, ID)

    assert group.by.variant == "champion"
    assert group.failed is table.lanes["eu"].rival
    assert (group.failed.tally.why or "").startswith("BrokenModel at test_groups.py:")
    assert [score.output for score in group.scores] == [
        score.output for score in table.lane("eu").champion.model.predictor.many([row.values for row in group.rows])
    ]


def test_a_batch_is_split_by_the_declared_column_and_each_key_goes_where_it_goes_alone(settings, routes):
    one, two = routes
    table, scorer = table_of(settings, one, canary(two, 0.5), product=STICKY), Scorer(STICKY)
    asked = [*range(60), None]

    groups = scorer.groups(table, rows_form(asked), ID)

    together = {place: group.by.variant for group in groups for place in group.places}
    alone = {at: scorer.groups(table, row_form(id=key), ID)[0].by.variant for at, key in enumerate(asked)}
    assert sorted(together) == list(range(61))
    assert together == alone
    assert set(together.values()) == {"champion", "canary"}


def test_where_the_canary_fails_at_its_part_of_a_batch_the_champion_answers_all_in_one_go(settings, routes):
    one, two = routes
    table = acting(table_of(settings, one, canary(two, 0.5), product=STICKY), fail)

    [group] = Scorer(STICKY).groups(table, rows_form(range(40)), ID)

    assert list(group.places) == list(range(40))
    assert group.by.variant == "champion"


def test_a_batch_without_a_declared_column_is_answered_by_one_model(settings, routes):
    one, two = routes
    table, ids = table_of(settings, one, canary(two, 0.5)), Ids()

    answered = [Scorer(LOANS).groups(table, rows_form(range(10)), ids.new(at)) for at in range(40)]

    assert {len(groups) for groups in answered} == {1}
    assert {groups[0].by.variant for groups in answered} == {"champion", "canary"}


def test_rows_that_the_champion_refuses_are_refused_whoever_would_answer(settings, routes):
    one, two = routes
    table = table_of(settings, one, canary(two, 1.0))

    with pytest.raises(Refused, match="field 'age': found 7"):
        Scorer(LOANS).groups(table, row_form(age=7), ID)

    assert table.counts()["eu/canary/2"].errors == 0


def test_a_canary_that_reads_the_columns_in_another_order_answers(settings, routes, second):
    one, _ = routes
    inputs = {name: second.spec.inputs[name] for name in ("job", "salary", "age")}
    other = route(settings, changed(second, inputs), 2)
    table = table_of(settings, one, canary(other, 1.0))

    [group] = Scorer(LOANS).groups(table, row_form(), ID)

    assert group.by.variant == "canary"
    assert group.rows[0].values == ("nurse", 2500.5, 40)
    assert group.rows[0].key == "7"
    assert group.given[0].values == (40, 2500.5, "nurse")


@pytest.mark.parametrize(
    "inputs",
    [
        {"town": ColumnSpec(type="str")},
        {"salary": ColumnSpec(type="float", max=100)},
    ],
    ids=["a column that nobody sends", "a narrower range"],
)
def test_a_canary_that_cannot_read_what_the_champion_can_has_failed(settings, routes, second, inputs):
    one, _ = routes
    other = route(settings, changed(second, {**second.spec.inputs, **inputs}), 2)
    table = table_of(settings, one, canary(other, 1.0))

    [group] = Scorer(LOANS).groups(table, row_form(), ID)

    assert group.by.variant == "champion"
    assert group.failed is table.lanes["eu"].rival
    assert group.failed.tally.why == "it cannot read rows that the champion can"


def test_an_error_of_the_champion_is_its_own(settings, routes):
    one, two = routes
    table = acting(table_of(settings, one, canary(two, 1.0)), fail)
    lane = table.lanes["eu"]
    object.__setattr__(lane.champion.model, "predictor", None)

    with pytest.raises(AttributeError):
        Scorer(LOANS).groups(table, row_form(), ID)

    assert lane.champion.tally.errors == 1


def changed(trained, inputs):
    return replace(trained, spec=msgspec.structs.replace(trained.spec, inputs=inputs))
