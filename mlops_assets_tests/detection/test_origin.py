"""What was found of each ancestor -> where the shift entered, and in which columns."""

from collections.abc import Sequence
from typing import Literal

import pytest

from mlops_assets.detection.finding import Ancestor, Finding, How, Origin, State, summaries
from mlops_assets.detection.origin import origin
from mlops_assets.detection.verdict import ColumnShift

MADE_OF = {"area": ("height", "width"), "slim": ("height", "width"), "street": ("street",)}
STRONG, WEAK = 1e-40, 1e-3


def shift(column: str, effect: float = 2.0, *, p: float = STRONG, unit: Literal["sd", "share"] = "sd") -> ColumnShift:
    return ColumnShift(column=column, effect=effect, unit=unit, p_value=p, words=f"{column} moved")


def finding(
    ancestor: Ancestor,
    *shifts: ColumnShift,
    how: How = "against training",
    state: State | None = None,
    kind: Literal["data", "joint"] = "data",
    asked: Sequence[str] = ("height", "width", "street"),
    rows: int = 200,
) -> Finding:
    return Finding(
        ancestor=ancestor,
        how=how,
        state=state or ("drift" if shifts else "ok"),
        kind=kind,
        columns=shifts,
        asked=tuple(asked),
        smallest_shift=dict.fromkeys(asked, 0.5),
        rows=rows,
        words="it holds no rows yet" if state == "cannot tell" else "told",
    )


def differs(ancestor: Ancestor, *columns: str, share: float = 1.0, rows: int = 200) -> Finding:
    shifts = [shift(column, share, unit="share") for column in columns]
    return finding(ancestor, *shifts, how="row by row", rows=rows)


AREA = finding("logged features", shift("area"))
TALLER = finding("requests", shift("height"))
QUIET = finding("requests")


@pytest.mark.parametrize(
    ("others", "where", "columns"),
    [
        ([TALLER, finding("source", shift("height"))], "source", ("height",)),
        ([TALLER, finding("source")], "between source and serving", ("height",)),
        ([TALLER, finding("source", shift("width"))], "between source and serving", ("height",)),
        ([TALLER, finding("source"), differs("requests")], "source", ("height",)),
        ([TALLER, finding("source"), differs("requests", rows=9)], "between source and serving", ("height",)),
        ([TALLER, finding("source", state="cannot tell")], "requests", ("height",)),
        (
            [TALLER, finding("source", state="cannot tell"), differs("requests", "height")],
            "between source and serving",
            ("height",),
        ),
        ([TALLER, finding("source", state="cannot tell"), differs("requests", "height", share=0.1)], "requests", None),
        ([TALLER], "requests", ("height",)),
        ([QUIET], "feature code", ("area",)),
        ([QUIET, differs("features", "area")], "feature code", ("area",)),
        ([QUIET, differs("features", "slim")], "feature code", ("area",)),
        ([QUIET, differs("logged features", "area")], "between training and serving", ("area",)),
        ([QUIET, differs("logged features", "slim")], "feature code", ("area",)),
        ([QUIET, differs("requests", "height")], "between source and serving", ("height",)),
        ([finding("requests", state="cannot tell")], "cannot tell", ("area",)),
        ([finding("requests", asked=("height",))], "cannot tell", ("area",)),
        ([], "cannot tell", ("area",)),
    ],
)
def test_the_first_ancestor_that_moved_is_where_a_feature_came_from(others, where, columns):
    entered = origin([*others, AREA], MADE_OF)

    assert entered.where == where
    assert columns is None or entered.columns == columns
    assert len(entered.tested) == len(others) + 1


@pytest.mark.parametrize(
    ("others", "where"),
    [
        ([QUIET, differs("outputs", "prediction")], "between training and serving"),
        ([QUIET, differs("outputs")], "model"),
        ([QUIET], "model"),
        ([TALLER], "requests"),
    ],
)
def test_an_output_that_moved_alone_is_the_models_or_the_endpoints(others, where):
    entered = origin([*others, finding("logged features", shift("prediction"))], MADE_OF)

    assert entered.where == where
    assert ("gives the same ones here" in entered.words) == (others[1:] == [differs("outputs")])


def test_each_shift_is_put_where_it_entered_and_those_without_a_place_come_last():
    logged = finding("logged features", shift("area"), shift("street", p=WEAK))
    sent = finding("requests", shift("height"), shift("width"))

    entered = origin([finding("source", shift("height")), sent, logged], MADE_OF)

    first, second, third = entered.words.split("; besides, ")
    assert (entered.where, entered.columns) == ("source", ("height",))
    assert first.endswith("moved as the requests did: height moved")
    assert second.startswith("entered between the source and serving: the source's own rows of that time did not move")
    assert third == "cannot tell: street moved so little that the requests may have too without showing it"


@pytest.mark.parametrize("unit", ["sd", "share"])
def test_a_source_that_need_not_have_shown_the_shift_is_no_witness(unit):
    sent = finding("requests", shift("height", 0.7, p=WEAK, unit=unit))

    entered = origin([finding("source"), sent, AREA], MADE_OF)

    assert entered.where == "requests"
    assert "its 200 rows of that time did not move, but so small a shift need not have shown" in entered.words


def test_inputs_that_no_longer_go_together_are_one_shift_whichever_columns_it_is_told_by():
    logged = finding("logged features", shift("area"), shift("street"), kind="joint")
    sent = finding("requests", shift("height"), kind="joint")

    entered = origin([finding("source", shift("width"), kind="joint"), sent, logged], MADE_OF)

    assert (entered.where, entered.words.count("entered")) == ("source", 1)


def test_each_test_is_told_in_a_line():
    findings = [finding("source", state="cannot tell"), QUIET, AREA, differs("logged features", "area")]

    told = summaries(Origin(where="model", columns=(), words="", tested=tuple(findings)))

    assert told == {
        "source": "cannot tell: it holds no rows yet",
        "requests": "ok",
        "logged features": "drift: area moved",
        "logged features row by row": "told",
    }
