"""Inference ids say when, ascend, and are read back."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from mlops_assets.serving.log.ids import Ids, ms_of, parse, text, time_of, to_ms

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7_that_says_when():
    made = Ids().new(to_ms(NOON))

    assert UUID(bytes=made).version == 7
    assert UUID(bytes=made).variant == "specified in RFC 4122"
    assert str(UUID(bytes=made)) == text(made)
    assert time_of(made) == NOON


def test_ids_ascend_even_if_the_clock_goes_back():
    ids = Ids()

    made = [ids.new(ms) for ms in [1000] * 20_000 + [999, 1001, 5]]

    assert made == sorted(set(made))
    assert ms_of(made[-1]) == 1001
    assert ms_of(made[19_999]) == 1000


def test_no_id_is_from_before_the_time_that_was_promised():
    ids = Ids()

    ids.advance(2000)

    assert ms_of(ids.new(1500)) == 2000


def test_an_id_and_a_row_of_a_batch_are_read_back():
    name = text(Ids().new(1))

    assert str(parse(name)) == name
    assert parse(f"{name}.12").row == 12
    assert str(parse(f"{name}.12")) == f"{name}.12"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "7",
        "2f1e2b6a-6f0e-4b5e-8d55-0c2f8a4f9d11",
        "01a1fe29-3948-7005-0a2c-29250a79f968",
        "01A1FE29-3948-7005-A2CC-29250A79F968",
        "01a1fe29394870 05a2cc29250a79f968",
        "01a1fe29-3948-7005-a2cc-29250a79f968.",
        "01a1fe29-3948-7005-a2cc-29250a79f968.-1",
        "01a1fe29-3948-7005-a2cc-29250a79f968.1.2",
        "01a1fe29-3948-7005-a2cc-29250a79f968.²",
        "01a1fe29-3948-7005-a2cc-29250a79f96g",
        "ffffffff-ffff-7fff-bfff-ffffffffffff",  # of the year 10889
    ],
)
def test_what_is_no_id_is_refused(wrong):
    with pytest.raises(ValueError, match="is no inference id; right is a UUIDv7"):
        parse(wrong)
