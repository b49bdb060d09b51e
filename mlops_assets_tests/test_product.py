"""The declaration: what is wrong with it is said before anything runs."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from mlops_assets.parts import Retrain, duration_seconds
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import Compute, Gate, Trainer
from mlops_assets.windows import Every

TIMED = {"path": "a.csv", "time": "at", "key": "id", "segment": "town", "subject": "who"}
DAYS = {"every": "day", "start": "2026-01-05"}


def declared(**fields: object) -> ModelProduct:
    """A product with the least that a declaration must say, and `fields` on top."""
    least = {"name": "p", "source": {"path": "a.csv"}, "label": {"column": "y"}, "features": ["x"]}
    return ModelProduct.model_validate(least | fields)


def test_what_is_left_out_has_a_default():
    product = declared()

    assert (product.segments, product.windows, product.seed) == (("all",), None, 0)
    assert (product.trainer, product.gate) == (Trainer(kind="lightgbm", windows=1), Gate(metric="auc", floor=0.5))
    assert (product.retrain, product.compute) == (
        Retrain(cooldown=timedelta(days=1), min_rows=500, importance=0.05, attempts=2),
        Compute(gpu=0, cpu=1, memory="2Gi", minutes=60),
    )
    assert product.monitor.grace == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "My Product"}, r"name\n  String should match pattern"),
        ({"source": {}}, "a source has either `path` or `function`, found neither"),
        ({"source": {"path": "a.csv", "function": "m.f"}}, "a source has either `path` or `function`, found both"),
        ({"source": {"path": "a.csv", "time": "at"}}, "`windows` and `source.time` go together"),
        ({"windows": DAYS}, "`windows` and `source.time` go together"),
        ({"segments": ["north"]}, "`segments` and `source.segment` go together"),
        ({"source": {"path": "a.csv", "segment": "town"}}, "`segments` and `source.segment` go together"),
        ({"source": TIMED, "windows": DAYS, "segments": ["a", "b", "a"]}, "`segments` names one twice: a, b, a"),
        ({"source": TIMED, "windows": DAYS, "segments": [".a"]}, r"segments.0\n  String should match pattern"),
        ({"source": TIMED, "windows": DAYS, "segments": ["a|b"]}, r"segments.0\n  String should match pattern"),
        ({"source": TIMED, "windows": DAYS, "segments": ["a...b"]}, r"segments.0\n  String should match pattern"),
        (
            {"source": TIMED, "windows": DAYS, "segments": ["a"], "fallback": "b"},
            "no segment 'b' to fall back to; known: a",
        ),
        (
            {"source": {"path": "a.csv", "time": "at"}, "windows": {**DAYS, "every": "hour"}},
            "monitor.every: a day is longer than the windows, one hour",
        ),
        (
            {
                "source": {"path": "a.csv", "time": "at"},
                "windows": {**DAYS, "timezone": "Europe/Berlin"},
                "monitor": {"every": "hour"},
            },
            "monitor.every: an hour needs `windows.timezone` UTC, found 'Europe/Berlin'",
        ),
        ({"label": {"column": "y", "kind": "binry"}}, "Input should be 'binary', 'multiclass' or 'regression'"),
        ({"source": {"path": "a.csv", "key": "y"}}, "'y' is the label and has another role in `source`"),
        ({"features": []}, "`features` is empty; right is a list of columns, or one function 'package.module.function"),
        ({"features": ""}, "`features` is empty"),
        ({"features": ["x", "z", "x"]}, "`features` names 'x' twice"),
        ({"features": ["x", "y"]}, "the label 'y' is among the features"),
        ({"source": {"path": "a.csv", "key": "x"}}, "the key 'x' is among the features"),
        ({"source": TIMED, "windows": DAYS, "segments": ["a"], "features": ["at"]}, "the time 'at' is among the feat"),
        ({"source": TIMED, "windows": DAYS, "segments": ["a"], "features": ["who"]}, "the subject 'who' is among the"),
        ({"features": ["loss"]}, "no feature may be called 'loss': monitoring uses that name; rename the column"),
        ({"columns": {"x": "integer"}}, r"columns.x.type\n  Input should be 'int', 'float', 'str', 'bool', 'datet"),
        ({"trainer": {"kind": "xgb"}}, "no trainer 'xgb'; known trainers: lightgbm, torch"),
        ({"trainer": {"windows": 0}}, r"trainer.windows\n  Input should be greater than or equal to 1"),
        ({"gate": {"metric": "auc"}}, r"gate.floor\n  Field required"),
        ({"gate": {"metric": "rmse", "floor": 1}}, "gate: no metric 'rmse' of a binary label; known: auc, accuracy"),
        (
            {"label": {"column": "y", "kind": "regression"}},
            "gate: no metric 'auc' of a regression label; known: rmse",
        ),
        ({"label": {"column": "y", "delay": 2}}, "2 has no unit; right is a number and a unit: 45s, 30m, 12h"),
        ({"endpoint": {"shadow": True}}, "True has no unit; right is a number and a unit: 45s, 30m, 12h"),
        ({"label": {"column": "y", "delay": "2x"}}, "'2x' is no duration; right is a number and a unit: 45s, 30m, 12h"),
        ({"label": {"column": "y", "delay": -5}}, "-5 has no unit; right is a number and a unit"),
        (
            {"compute": {"memory": "2GB"}},
            "'2GB' is no amount of memory; right is a whole number and Mi or Gi, such as 2Gi",
        ),
        ({"compute": {"memory": "512Ki"}}, "'512Ki' is no amount of memory; .* such as 512Mi or 16Gi"),
        ({"retrain": {"attempts": 0}}, r"retrain.attempts\n  Input should be greater than or equal to 1"),
        ({"quarantine": 1}, r"quarantine\n  Input should be less than 1"),
        ({"owners": ["someone"]}, r"owners.0\n  String should match pattern"),
        ({"endpoint": {"sticky": "z"}}, "endpoint.sticky: no request has a column 'z'; requests have x"),
        (
            {"source": TIMED, "windows": DAYS, "segments": ["a"], "endpoint": {"sticky": "town"}},
            "endpoint.sticky: all requests of a segment have the same 'town'",
        ),
        ({"trainr": {}}, r"trainr\n  Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], problem: str):
    with pytest.raises(ValidationError, match=problem):
        declared(**fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("P1DT2H", timedelta(days=1, hours=2)),
        (0, timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: object, expected: timedelta):
    assert declared(label={"column": "y", "delay": text}).label.delay == expected


def test_a_duration_on_the_command_line_is_seconds():
    assert duration_seconds("2m") == 120
    with pytest.raises(ValueError, match="'soon' is no duration"):
        duration_seconds("soon")


def test_a_column_may_be_declared_by_its_type_alone():
    product = declared(columns={"x": "int", "z": {"type": "str", "isin": ["a"]}})

    assert (product.columns["x"].type, product.columns["z"].isin) == ("int", ("a",))


@pytest.mark.parametrize("sticky", ["id", "x"])
def test_the_key_or_a_feature_may_decide_who_answers(sticky: str):
    source = {"path": "a.csv", "key": "id"}

    assert declared(source=source, endpoint={"sticky": sticky}).endpoint.sticky == sticky


def test_a_declaration_with_shares_is_the_same_after_it_was_written_down():
    product = declared(endpoint={"canary": ["5%", "33.3333%", "100%"], "log": {"sample": "0.02%"}})

    assert ModelProduct.model_validate_json(product.model_dump_json()) == product
    assert ModelProduct.model_validate(product.model_dump()) == product


def test_a_share_is_a_number_or_a_percentage_and_a_difference_is_a_number():
    canary = declared(endpoint={"canary": {"steps": ["100%"], "errors": "1%", "latency": "150%"}}).endpoint.canary

    assert canary is not None
    assert (canary.errors, canary.latency) == (0.01, 1.5)
    with pytest.raises(ValidationError, match="found '5%'; it is a difference and no share; right is a number"):
        declared(endpoint={"canary": {"steps": ["100%"], "quality": "5%"}})


@pytest.mark.parametrize("steps", [[5, 25, 100], []])
def test_wrong_steps_are_told_of_in_one_line(steps: list[int]):
    with pytest.raises(ValidationError) as refused:
        declared(endpoint={"canary": steps})

    assert refused.value.error_count() == 1


@pytest.mark.parametrize("owner", ["team:credit", "jane.doe@example.com"])
def test_an_owner_is_a_team_or_an_address(owner: str):
    assert declared(owners=[owner]).owners == (owner,)


@pytest.mark.parametrize(
    ("windows", "every", "start"),
    [
        (None, "day", datetime(2026, 1, 1, tzinfo=UTC)),
        ({"every": "week", "start": "2026-01-05"}, "day", datetime(2026, 1, 5, tzinfo=UTC)),
        ({"every": "month", "start": "2026-02-01"}, "week", datetime(2026, 2, 1, tzinfo=UTC)),
        ({"every": "hour", "start": "2026-01-05T07:00"}, "hour", datetime(2026, 1, 5, 7, tzinfo=UTC)),
        (
            {"every": "day", "start": "2026-01-04T23:00Z", "timezone": "Europe/Berlin"},
            "day",
            datetime(2026, 1, 4, 23, tzinfo=UTC),
        ),
    ],
)
def test_monitoring_begins_with_the_data_and_has_no_end(windows: dict[str, object] | None, every: Every, start):
    source = {"path": "a.csv", "time": "at"} if windows else {"path": "a.csv"}

    grid = declared(source=source, windows=windows, monitor={"every": every}).grid

    assert (grid.every, grid.end, grid.bounds(grid.key(grid.start))[0]) == (every, None, start)


def test_an_asset_key_is_product_and_stage():
    assert declared().key(Stage.MODEL) == ("p", "model")
