"""What a column holds is read off its cells; what does not fit is kept with its reason."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from mlops_assets.intake.cells import label_text, read
from mlops_assets.intake.columns import SourceChanged, cast, columns_for, infer_columns
from mlops_assets.intake.sources import SourceError
from mlops_assets.parts import Column, Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Gate


def product(label: Label, columns: dict[str, Column] | None = None) -> ModelProduct:
    return ModelProduct(
        name="p",
        source=Source(path="a.csv", key="id"),
        label=label,
        features=("x",),
        gate=Gate(metric="rmse" if label.kind == "regression" else "accuracy", floor=0.5),
        columns=columns or {},
    )


@pytest.mark.parametrize(
    ("cells", "type_", "nullable"),
    [
        (["1", " 2", "+3"], "int", False),
        (["1", "2.5", "1e3", ""], "float", True),
        (["1", "NA", None], "int", True),
        (["true", "False"], "bool", False),
        (["1996-05-07", "1996-05-08T00:30", "1996-05-08 00:30:00.5", "1996-05-08T00:30:00+02:00"], "datetime", False),
        (["007", "8"], "str", False),
        (["a", "1"], "str", False),
        ([None, None], "str", True),
        (["1"] * 99 + ["abc"], "int", False),
        (["1"] * 98 + ["abc", "x"], "str", False),
        (["inf", "1.5"], "str", False),
    ],
)
def test_a_column_is_what_nearly_all_its_cells_are(cells: list[str | None], type_: str, nullable: bool):
    [column] = infer_columns(pl.DataFrame({"x": cells}, schema={"x": pl.String})).values()

    assert (column.type, column.nullable) == (type_, nullable)


def test_typed_columns_keep_their_types_and_lists_are_refused():
    frame = pl.DataFrame({"i": [1], "f": [1.5], "b": [True], "d": [date(2026, 1, 1)], "s": ["x"]})

    assert [column.type for column in infer_columns(frame).values()] == ["int", "float", "bool", "datetime", "str"]
    with pytest.raises(SourceError, match="column 'x' holds List"):
        infer_columns(pl.DataFrame({"x": [[1]]}))


def test_rows_that_do_not_fit_are_kept_as_they_were_read_with_every_reason():
    frame = pl.DataFrame({"n": ["1", "1.5", "x", ""], "f": ["0.5", "inf", "abc", "NA"], "s": ["a", "b", "", None]})
    columns = {name: Column(type=type_, nullable=True) for name, type_ in (("n", "int"), ("f", "float"), ("s", "str"))}

    good, bad = cast(frame, columns)

    assert good.rows() == [(1, 0.5, "a"), (None, None, None)]
    assert bad["_reason"].to_list() == [
        "n: '1.5' is not an int; f: 'inf' is not a float",
        "n: 'x' is not an int; f: 'abc' is not a float",
    ]
    assert bad["f"].to_list() == ["inf", "abc"]


def test_typed_cells_are_cast_without_loss():
    frame = pl.DataFrame({"n": [1.0, 2.5, float("nan")], "d": [date(2026, 1, 1)] * 3, "s": [1, 2, 3]})

    good, bad = cast(frame, {"n": Column(type="int"), "d": Column(type="datetime"), "s": Column(type="str")})

    assert good.rows() == [(1, datetime(2026, 1, 1, tzinfo=UTC), "1"), (None, datetime(2026, 1, 1, tzinfo=UTC), "3")]
    assert bad["_reason"].to_list() == ["n: '2.5' is not an int"]


def test_a_time_without_offset_is_read_in_the_zone_of_the_windows():
    cells = pl.Series("t", ["2026-03-29T01:30:00", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"])

    assert read(cells, "datetime", "Europe/Berlin").to_list() == [
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
        None,  # the clock skips this hour
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    ]


def test_a_changed_header_names_what_is_missing_and_what_is_new():
    columns = {"vic_demand": Column(type="float"), "transfer": Column(type="float")}

    with pytest.raises(
        SourceChanged, match=r"missing 'vic_demand' \(did you mean 'vic_demnd'\?\), unexpected 'vic_demnd'"
    ):
        cast(pl.DataFrame({"vic_demnd": ["1"], "transfer": ["2"]}), columns)


def test_the_order_of_columns_does_not_matter():
    good, bad = cast(pl.DataFrame({"b": ["1"], "a": ["x"]}), {"a": Column(type="str"), "b": Column(type="int")})

    assert good.to_dicts() == [{"b": 1, "a": "x"}]
    assert bad.is_empty()


def test_declared_columns_and_roles_come_before_what_the_cells_say():
    frame = pl.DataFrame({"id": ["1", "2"], "x": ["1", "2"], "y": ["1.0", "0"]})

    columns = columns_for(product(Label(column="y"), {"x": Column(type="float", min=0)}), frame)

    assert columns["id"].type == "str"
    assert columns["x"] == Column(type="float", min=0)
    assert columns["y"] == Column(type="str", nullable=True, isin=("0", "1"))


def test_a_label_that_is_not_of_its_kind_is_refused():
    frame = pl.DataFrame({"id": ["1", "2", "3"], "x": ["1", "2", "3"], "y": ["a", "b", "c"]})

    with pytest.raises(
        SourceError, match=r"label.kind: 'y' has 3 values \(a, b, c.*right for these is `kind: multiclass`"
    ):
        columns_for(product(Label(column="y")), frame)
    assert columns_for(product(Label(column="y", kind="multiclass")), frame)["y"].isin == ("a", "b", "c")


@pytest.mark.parametrize(
    "labels", [pl.Series([1, 0, None]), pl.Series([1.0, 0.0, None]), pl.Series(["1", " 0.0", "NA"])]
)
def test_a_class_has_one_name_however_it_is_written(labels: pl.Series):
    assert label_text(labels).to_list() == ["1", "0", None]


def test_truth_and_words_are_names_of_classes_too():
    assert label_text(pl.Series([True, False])).to_list() == ["true", "false"]
    assert label_text(pl.Series(["True", "maybe", "1.5"])).to_list() == ["true", "maybe", "1.5"]
