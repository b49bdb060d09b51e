"""A request's row is taken exactly if the dataset's pandera schema would have: one declaration, two readers."""

import json
import math

import msgspec
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.dataset.schemas import dataset_schema, validate
from mlops_assets.intake.cells import DTYPES
from mlops_assets.parts import Column
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.model import ColumnSpec

LEVELS = ("", "a", "b", "ä", "NA")
BOUNDS = st.none() | st.integers(-20, 20) | st.floats(-20, 20)
VALUES = {
    "int": st.integers(-30, 30) | st.integers(-(2**63), 2**63 - 1),
    "float": st.integers(-30, 30) | st.floats(allow_nan=False, allow_infinity=False),
    "str": st.sampled_from([*LEVELS, "c", "A", " a"]),
    "bool": st.booleans(),
}


@st.composite
def declared(draw: st.DrawFn) -> tuple[Column, object]:
    """A column and a value of its type, or null."""
    kind = draw(st.sampled_from(sorted(VALUES)))
    number = kind in ("int", "float")
    column = Column(
        type=kind,
        nullable=draw(st.booleans()),
        min=draw(BOUNDS) if number else None,
        max=draw(BOUNDS) if number else None,
        isin=draw(st.none() | st.just(LEVELS[:4])) if kind == "str" else None,
    )
    return column, draw(st.none() | VALUES[kind])


@settings(deadline=None, max_examples=150)
@given(declared())
@example((Column(type="int", min=2.5), 2))
@example((Column(type="int", max=2.5), 3))
@example((Column(type="float", min=0.0), -0.0))
@example((Column(type="str", isin=("a",)), "b"))
@example((Column(type="float"), None))
def test_the_decoder_takes_what_the_datasets_schema_takes(case):
    column, value = case

    assert taken_by_the_decoder(column, value) is taken_by_the_schema(column, value)


def taken_by_the_decoder(column: Column, value: object) -> bool:
    spec = msgspec.convert(column.model_dump(mode="json"), ColumnSpec)  # as training hands it on to the endpoint
    try:
        [read] = RowDecoder({"x": spec}).one(json.dumps({"x": value}).encode()).values
    except Refused:
        return False
    assert read == value
    assert not isinstance(value, float) or math.copysign(1, read) == math.copysign(1, value)
    return True


def taken_by_the_schema(column: Column, value: object) -> bool:
    typed = float(value) if column.type == "float" and value is not None else value
    frame = pl.DataFrame({"_key": ["k"], "x": pl.Series([typed], dtype=DTYPES[column.type])})
    return validate(frame, dataset_schema({"x": column})).good.height == 1
