"""`/invocations` takes what MLflow's own scoring server takes, as the same rows; where it refuses more, it says so."""

import io
import json
import warnings

import pytest

from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.forms import Form, Forms
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.export import _signature
from mlops_assets.training.model import ColumnSpec, ModelSpec

INPUTS = {
    "age": ColumnSpec(type="int"),
    "rooms": ColumnSpec(type="int", nullable=True),
    "salary": ColumnSpec(type="float", nullable=True),
    "job": ColumnSpec(type="str"),
    "home": ColumnSpec(type="bool"),
}
NAMES = list(INPUTS)
ROWS = [(40, 3, 2500.5, "nurse", True), (41, None, None, "clerk", False)]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
COLUMNS = {name: [row[at] for row in ROWS] for at, name in enumerate(NAMES)}
SPLIT = {"columns": NAMES, "data": [list(row) for row in ROWS]}

SAME = {
    "split": {"dataframe_split": SPLIT},
    "split, with an index": {"dataframe_split": {**SPLIT, "index": [7, 9]}},
    "split, in another order": {
        "dataframe_split": {"columns": NAMES[::-1], "data": [list(row)[::-1] for row in ROWS]},
    },
    "records": {"dataframe_records": RECORDS},
    "instances": {"instances": RECORDS},
    "instances, one row": {"instances": RECORDS[0]},
    "inputs by column": {"inputs": COLUMNS},
    "inputs by row": {"inputs": RECORDS},
    "inputs, one row": {"inputs": RECORDS[0]},
    "no params": {"inputs": COLUMNS, "params": {}},
    "ints as pandas writes them beside nulls": {
        "dataframe_split": {**SPLIT, "data": [[40, 3.0, 2500.5, "nurse", True]]}
    },
    "whole floats": {"inputs": {**COLUMNS, "age": [40.0, 41.0]}},
}
NEITHER = {
    "no names": {"dataframe_split": {"data": SPLIT["data"]}},
    "no record": {"dataframe_records": RECORDS[0]},
    "tensors without names": {"inputs": [[1, 2], [3, 4]]},
    "instances without names": {"instances": [[40, 3, 2500.5, "nurse", True]]},
    "a column short": {"inputs": {**COLUMNS, "age": [40]}},
    "a column missing": {"inputs": {name: values for name, values in COLUMNS.items() if name != "age"}},
    "two formats": {"inputs": COLUMNS, "instances": RECORDS},
    "no format": {"rows": RECORDS},
    "a list": RECORDS,
    "a word for a number": {"inputs": {**COLUMNS, "salary": ["much", None]}},
}
WE_REFUSE = {
    "a fraction for an int": (
        {"inputs": {**COLUMNS, "age": [40.5, 41]}},
        r"field 'age': found 40.5 \(float\); right is an int",
    ),
    "text for an int": ({"inputs": {**COLUMNS, "age": ["40", "41"]}}, r'field \'age\': found "40" \(text\)'),
    "an unknown column": ({"inputs": {**COLUMNS, "zip": [1, 2]}}, "field 'zip': found an unknown field"),
    "params": ({"inputs": COLUMNS, "params": {"threshold": 1}}, "found params threshold; this model takes none"),
    "an unknown field": ({"inputs": COLUMNS, "input": 1}, "unknown field `input`"),
    "a column left out": (
        {"inputs": {name: values for name, values in COLUMNS.items() if name != "salary"}},
        "field 'salary': found nothing",
    ),
}


def ours(body: object) -> list[tuple[object, ...]]:
    return decoded(Forms(None).invocations(json.dumps(body).encode()))


def decoded(form: Form) -> list[tuple[object, ...]]:
    """The rows of a request as the model reads them."""
    rows = RowDecoder(INPUTS).many(form.rows, range(len(form.rows)), form.written)
    return [row.values for row in rows]


def mlflows(body: object) -> list[tuple[object, ...]]:
    """The rows that MLflow's server would hand to our exported model, whose signature this is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what mlflow says about itself when it is imported
        from mlflow.models.utils import _enforce_schema
        from mlflow.pyfunc.scoring_server import _split_data_and_params, infer_and_parse_data

        data, _ = _split_data_and_params(json.dumps(body))
        return handed(_enforce_schema(infer_and_parse_data(data, schema()), schema()))


def schema():
    from mlflow.types import Schema

    spec = ModelSpec(kind="lightgbm", task="binary", inputs=INPUTS, features=NAMES)
    return Schema.from_json(_signature(spec)["inputs"])


def handed(frame) -> list[tuple[object, ...]]:
    from mlops_assets.training.exported import _values

    return list(zip(*(_values(name, column, frame) for name, column in INPUTS.items()), strict=True))


@pytest.mark.parametrize("body", SAME.values(), ids=SAME)
def test_the_same_body_is_the_same_rows(body):
    assert ours(body) == mlflows(body) != []


@pytest.mark.parametrize("body", NEITHER.values(), ids=NEITHER)
def test_what_mlflow_refuses_is_refused(body):
    with pytest.raises(Exception, match=r"."):
        mlflows(body)
    with pytest.raises(Refused) as refused:
        ours(body)

    assert refused.value.status == 422


@pytest.mark.parametrize(("body", "said"), WE_REFUSE.values(), ids=WE_REFUSE)
def test_what_mlflow_would_guess_is_refused_by_name(body, said):
    assert len(mlflows(body)) == 2
    with pytest.raises(Refused, match=said):
        ours(body)


CSVS = {
    "plain": "age,rooms,salary,job,home\n40,3,2500.5,nurse,True\n41,,,clerk,False\n",
    "quoted": 'age,rooms,salary,job,home\n40,"3",2500.5,"nurse, senior",True\n',
    "with the index of pandas": ",age,rooms,salary,job,home\n0,40,3,2500.5,nurse,True\n",
    "ints as pandas writes them beside nulls": "age,rooms,salary,job,home\n40,3.0,2500.5,nurse,True\n41,,1,a,False\n",
    "another order, and Windows": "job,home,salary,rooms,age\r\nnurse,True,2500.5,3,40\r\n",
    "missing by name": "age,rooms,salary,job,home\n40,NA,NaN,nurse,False\n",
    "a great float": "age,rooms,salary,job,home\n40,1,1e300,nurse,False\n",
}


@pytest.mark.parametrize("text", CSVS.values(), ids=CSVS)
def test_a_csv_is_the_rows_that_mlflow_reads(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.models.utils import _enforce_schema
        from mlflow.pyfunc.scoring_server import parse_csv_input

        expected = handed(_enforce_schema(parse_csv_input(io.StringIO(text), schema()), schema()))

    assert decoded(Forms(None).csv(text.encode(), "mlflow")) == expected != []


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (b"", 400, "the body is no CSV"),
        (b"\xff\xfe", 400, "the body is no CSV"),
        (b"age,rooms,salary,job,home\n", 422, "the body holds no rows"),
        (b"age,rooms,salary,job,home\n40,3,x,nurse,True\n", 422, r'field \'salary\': found "x" \(text\)'),
        (b"age,rooms,salary,job,home\n40.5,3,1,nurse,True\n", 422, r'field \'age\': found "40.5" \(text\)'),
        (b"age,rooms,salary,job,home\n40,3,inf,nurse,True\n", 422, r'field \'salary\': found "inf" \(text\)'),
        (b"age,rooms,salary,job,home\n,3,1,nurse,True\n", 422, "field 'age': found null"),
        (b"age,rooms,salary,job\n1,3,1,nurse\n", 422, "field 'home': found nothing"),
        (b"age,rooms,salary,job,home,x\n1,3,1,nurse,True,7\n", 422, "field 'x': found an unknown field"),
        (b"age,rooms,salary,job,home\n40,3,1,nurse,maybe\n", 422, r'field \'home\': found "maybe" \(text\)'),
        (b"age,rooms,salary,job,home\n" + b"40,3,1,nurse,True\n" * 10_001, 413, "right is 10000 or fewer"),
    ],
)
def test_a_csv_that_does_not_fit_says_what_is_wrong(text, status, said):
    with pytest.raises(Refused, match=said) as refused:
        decoded(Forms(None).csv(text, "mlflow"))

    assert refused.value.status == status
