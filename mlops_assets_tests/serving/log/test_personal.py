"""Personal columns are in no log and no sealed table, and everything that would need them says so."""

import json
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from mlops_assets.endpoint import Endpoint, Kept
from mlops_assets.intake.declared import check_declared
from mlops_assets.intake.sources import SourceError
from mlops_assets.lineage.replay import replay
from mlops_assets.lineage.retrained import CannotReplay
from mlops_assets.lineage.trace import trace
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.personal import hashed, hide, personal_key
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, declare, deployment, sales
from mlops_assets_tests.serving.loans import INFER, ROW, deploy, route
from mlops_assets_tests.serving.log.kept import asked, houses, judged, model_of, table
from mlops_assets_tests.serving.log.process import endpoint

PRIVATE = HOUSES.model_copy(update={"endpoint": Endpoint(personal={"street": "hash", "rooms": "omit", "id": "hash"})})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses; `street` and `id` are logged as hashes, `rooms` not at all."""
    found = deployment(tmp_path, sales(3))
    declare(found, PRIVATE)
    return found


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_neither_log_nor_sealed_table_holds_a_personal_value(settings: Settings):
    rows = houses(60)
    asked(settings, PRIVATE, model_of(settings, PRIVATE), rows)
    logged = everything_below(settings.serving("houses") / "log")

    held = judged(settings, PRIVATE)[Stage.PREDICTIONS]

    sealed = table(settings, held)
    assert not any(key.encode() in logged for key in rows["id"])
    assert not any(street in logged for street in (b"high", b"mill"))
    assert not {"input.street", "feature.street", "input.rooms", "feature.rooms"} & set(sealed.columns)
    key = personal_key(PRIVATE, settings)
    assert sealed["hashed.street"].to_list() == [hashed(key, "street", street) for street in rows["street"]]
    assert sealed["key"].to_list() == [hashed(key, "id", each) for each in rows["id"]]
    assert sealed["input.price"].to_list() == rows["price"].to_list() == sealed["feature.price"].to_list()
    assert held.record.facts["personal"] == {"street": "hash", "rooms": "omit", "id": "hash"}


def test_what_cannot_be_judged_is_named_and_no_alarm(settings: Settings):
    asked(settings, PRIVATE, model_of(settings, PRIVATE), houses(60))

    made = judged(settings, PRIVATE)

    drift = made[Stage.DRIFT].record.facts
    assert made[Stage.PROFILE].record.facts["not_judged"] == ["id", "rooms", "street"]
    assert (drift["state"], drift["kind"]) != ("drift", "schema")
    assert str(drift["words"]).endswith("not judged, since the log does not hold them: id, rooms, street")
    assert made[Stage.PERFORMANCE].record.facts["labels"] == 0


def test_a_trace_names_what_the_log_hides_and_a_replay_refuses(settings: Settings):
    [first, *_] = asked(settings, PRIVATE, model_of(settings, PRIVATE), houses(5))

    prediction = trace(settings, first, budget_s=None).prediction

    assert prediction is not None
    assert set(prediction.input) == {"price"}
    assert prediction.hidden["rooms"] is None
    assert len(prediction.hidden["street"] or "") == 32
    with pytest.raises(
        CannotReplay, match=r"rooms \(left out\), street \(hashed\); personal columns cannot be replayed"
    ):
        replay(settings, first)
    judged(settings, PRIVATE)
    with pytest.raises(CannotReplay, match="does not hold what the model read"):
        replay(settings, first)


def test_equal_values_have_equal_hashes_of_their_column_and_product_alone(settings: Settings):
    key = personal_key(PRIVATE, settings)
    other = personal_key(PRIVATE.model_copy(update={"name": "flats"}), settings)

    said = {hashed(key, "street", "mill"), hashed(key, "id", "mill"), hashed(other, "street", "mill")}

    assert len(said) == 3
    assert hashed(key, "street", "mill") in said
    assert hashed(key, "street", None) is None


def test_one_moment_has_one_hash_whatever_its_offset():
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-5, minutes=-30)))
    sealed = pl.Series([moment]).cast(pl.Datetime("us", "UTC"))[0]

    said = {hashed(b"k" * 32, "born", each) for each in (moment, elsewhere, sealed)}

    assert len(said) == 1
    assert hashed(b"k" * 32, "born", moment + timedelta(microseconds=1)) not in said


def test_the_key_is_made_once_for_the_owner_alone_or_of_the_file_in_the_settings(settings: Settings, tmp_path: Path):
    first, again = personal_key(PRIVATE, settings), personal_key(PRIVATE, settings)
    [path] = (settings.home / "secrets").iterdir()
    shared = tmp_path / "secret"
    shared.write_bytes(b"short")
    named = Settings(**{**vars(settings), "personal_key": shared})

    with pytest.raises(ValueError, match="5 bytes are no secret"):
        personal_key(PRIVATE, named)
    shared.write_bytes(bytes(range(32)))

    assert first == again != personal_key(PRIVATE, named)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert personal_key(HOUSES, settings) == b""


def test_scored_rows_are_hidden_as_logged_ones_are():
    rows = pl.DataFrame({"key": ["a", None], "input.x": [1, 2], "feature.x": [1.0, 2.0], "input.y": [3, 4]})

    hidden = hide(rows, {"id": "omit", "x": "hash"}, b"k" * 32, "id")

    assert hidden.columns == ["key", "input.y", "hashed.x"]
    assert hidden["key"].to_list() == [None, None]
    assert hide(hidden, {"id": "omit", "x": "hash"}, b"k" * 32, "id").equals(hidden)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"endpoint": Endpoint(personal={"name": "hash"})}, "no request has a column 'name'; requests have price"),
        ({"endpoint": Endpoint(personal={"town": "hash"})}, "'town' is the segment, by which the log is kept"),
        ({"endpoint": Endpoint(personal={"street": "omit"}), "groups": ("street",)}, "`groups` compares the values"),
        (
            {"endpoint": Endpoint(personal={"street": "hash"}, log=Kept(features="hash"))},
            "does not hold the personal 'street'; right is `whole`",
        ),
    ],
)
def test_a_column_that_cannot_be_personal_is_refused_where_it_is_declared(changes: dict[str, object], error: str):
    with pytest.raises(ValidationError, match=error):
        ModelProduct(**{**dict(HOUSES), **changes})


def test_with_a_features_function_a_personal_column_has_to_be_one_of_the_source():
    product = HOUSES.model_copy(
        update={"features": "somewhere.made", "endpoint": Endpoint(personal={"streat": "hash"})}
    )

    with pytest.raises(SourceError, match=r"endpoint\.personal\.streat: no column 'streat'.*'street'"):
        check_declared(product, ["id", "seen", "town", "price", "rooms", "street", "sold"])


def test_a_sticky_column_may_be_personal():
    assert ModelProduct(**{**dict(HOUSES), "endpoint": Endpoint(sticky="id", personal={"id": "omit"})})


def test_a_refused_request_and_the_endpoints_own_lines_do_not_spread_what_is_personal(tmp_path, first):
    settings = deployment(tmp_path)
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    declared, errors = Endpoint(personal={"job": "hash", "id": "omit"}), tmp_path / "errors"
    with endpoint(settings, declared, errors=errors) as running:
        good = running.post(INFER, {**ROW, "id": "secret-7"})
        bad = running.post(INFER, {**ROW, "job": "poet-laureate", "id": "secret-7"})
        broken = running.post(INFER, b'{"job": "poet-laureate", ')

    assert [good.status, bad.status, broken.status] == [200, 422, 400]
    written = everything_below(settings.serving("loans")) + errors.read_bytes()
    assert b"poet-laureate" not in written
    assert b"secret-7" not in written
    assert b"nurse" not in everything_below(settings.serving("loans") / "log")
    assert json.dumps(bad.body).count("job") > 0
