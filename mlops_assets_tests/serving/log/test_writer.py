"""The inference log: numbered without a gap over windows, and each prediction found again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.ids import Ids, text, to_ms
from mlops_assets.serving.log.sealed import find
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.metrics.metrics import log_lag_s
from mlops_assets_tests.serving.loans import LOANS

MONDAY = datetime(2026, 1, 5, 23, 59, 59, tzinfo=UTC)
COLUMNS = msgspec.Raw(msgspec.msgpack.encode(Columns([("age", "int")], [("age", "float")])))


def body(*ages: int | None) -> Body:
    single = len(ages) == 1
    rows = [Row(None if single else at, "k", 0.5, (age,), None) for at, age in enumerate(ages)]
    return Body(12, "d1", [Part("eu", 3, COLUMNS, rows)])


@pytest.fixture
def log(tmp_path):
    return LogWriter(tmp_path / "log", LOANS.grid, "w1")


def read(tmp_path, window):
    return read_frames(mapped(tmp_path / "log" / window / "w1.log"))


def test_each_window_has_its_file_and_the_numbers_go_on(log, tmp_path):
    ids = Ids()
    for seconds in (0, 0, 1, 2, 86_401 * 2):
        log.append(ids.new(to_ms(MONDAY + timedelta(seconds=seconds))), body(40))
    log.close()

    found = {window: read(tmp_path, window) for window in ("2026-01-05", "2026-01-06", "2026-01-08")}

    assert {window: [frame.seq for frame in reading.frames] for window, reading in found.items()} == {
        "2026-01-05": [0, 1],
        "2026-01-06": [2, 3],
        "2026-01-08": [4],
    }
    assert all(reading.closed and reading.missing == 0 for reading in found.values())


def test_a_window_that_has_ended_is_closed_without_a_later_prediction(log, tmp_path):
    log.append(Ids().new(to_ms(MONDAY)), body(40))

    log.close_until(to_ms(MONDAY))
    still_open = read(tmp_path, "2026-01-05").closed
    log.close_until(to_ms(MONDAY + timedelta(seconds=1)))

    assert not still_open
    assert read(tmp_path, "2026-01-05").closed


def test_nothing_is_created_before_the_first_prediction(log, tmp_path):
    log.close_until(to_ms(MONDAY))
    log.close()

    assert list(tmp_path.iterdir()) == []


def test_a_prediction_is_found_in_the_open_log(log, tmp_path):
    ids = Ids()
    made = [ids.new(to_ms(MONDAY)) for _ in range(300)]
    for number, id_ in enumerate(made):
        log.append(id_, body(number))

    found = find(tmp_path, LOANS.grid, text(made[123]))

    assert found is not None
    assert found.rows(named=True) == [
        {
            "inference_id": text(made[123]),
            "at": MONDAY,
            "segment": "eu",
            "version": 3,
            "variant": "champion",
            "deployment": "d1",
            "key": "k",
            "writer": "w1",
            "seq": 123,
            "latency_us": 12,
            "status": 200,
            "output": 0.5,
            "input.age": 123,
            "feature.age": 123.0,
        }
    ]


def test_a_row_of_a_batch_is_found_by_its_number_alone(log, tmp_path):
    id_ = Ids().new(to_ms(MONDAY))
    log.append(id_, body(40, None))

    row = find(tmp_path, LOANS.grid, f"{text(id_)}.1")

    assert row is not None
    assert row["input.age"].to_list() == [None]
    assert row["feature.age"].is_nan().to_list() == [True]
    assert find(tmp_path, LOANS.grid, f"{text(id_)}.2") is None
    assert find(tmp_path, LOANS.grid, text(id_)) is None
    assert find(tmp_path, LOANS.grid, text(Ids().new(to_ms(MONDAY)))) is None


def test_the_log_lags_by_the_time_since_its_oldest_ended_window(log, tmp_path):
    log.append(Ids().new(to_ms(MONDAY)), body(40))

    lags = [log_lag_s(tmp_path, LOANS.grid, MONDAY + timedelta(seconds=seconds)) for seconds in (0, 1, 61)]

    assert lags == [0, 0, 60]
