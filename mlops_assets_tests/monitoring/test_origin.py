"""Shifts planted in the source, the client, feature code and the endpoint are each found where they entered."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.detection.finding import Ancestor, Finding, Origin
from mlops_assets.detection.verdict import ColumnShift, Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.intake.ingest import ingest
from mlops_assets.monitoring.origin import origin_now, origin_of
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.ids import Ids, to_ms
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.houses import HOUSES, TOWNS, WEEKS, champion, deployment, make, over, write

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY = "2026-01-20"
FEET = 0.3048
A_DAY = 120
LISTED = HOUSES.model_copy(update={"features": ("height", "width", "street")})
MADE = HOUSES.model_copy(update={"features": f"{__name__}.shapes"})
UNIT = 1.0
Change = Callable[[pl.DataFrame], pl.DataFrame]


def shapes(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Three features that are made, of which one reads a number out of text, and one that is passed on."""
    return rows.select(
        "width",
        area=pl.col("height") * pl.col("width") * UNIT,
        slim=pl.col("height") / (pl.col("width") + 5),
        number=pl.col("serial").str.extract(r"^sn-(\d+)").cast(pl.Int64),
    )


def built(weeks: int) -> pl.DataFrame:
    """`A_DAY` houses a day and town; large ones are sold. No value of `serial` comes twice."""
    draw = np.random.default_rng(3)
    first = NOON.replace(day=5, hour=0, tzinfo=None)
    seen = [first + timedelta(days=day, minutes=10 * row) for day in range(7 * weeks) for row in range(A_DAY)]
    count = len(seen)
    parts = [
        pl.DataFrame(
            {
                "id": [f"{town}-{row}" for row in range(count)],
                "seen": seen,
                "town": [town] * count,
                "height": draw.normal(30, 5, count).round(2),
                "width": draw.normal(20, 3, count).round(2),
                "street": draw.choice(["high", "low", "mill"], count),
                "serial": [f"sn-{number}" for number in draw.permutation(1_000_000)[:count]],
            }
        )
        for town in TOWNS
    ]
    sold = (pl.col("height") * pl.col("width") > 600).cast(int)
    return pl.concat(parts).with_columns(sold=sold).sort("seen", "id")


def same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def taller(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("height") + 5)


def in_metres(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns((pl.col("height") * FEET).round(6))


def only_in(town: str, change: Change) -> Change:
    return lambda rows: pl.concat([change(rows.filter(town=town)), rows.filter(pl.col("town") != town)])


def that_day(later: int = 0) -> pl.DataFrame:
    return built(3).filter(pl.col("seen").dt.date() == (NOON + timedelta(days=later)).date())


class Deployed:
    """A champion for each town, trained on two weeks, and the windows of what they answered."""

    def __init__(self, folder: Path, product: ModelProduct) -> None:
        self.product = product
        self.settings: Settings = deployment(folder, built(2))
        for version, town in enumerate(TOWNS, 1):
            if self.archive.ledger.champion("houses", town) is None:
                for week in WEEKS[:2]:
                    make(self.settings, product, f"{town}|{week}")
                champion(
                    self.settings, make(self.settings, product, f"{town}|{WEEKS[1]}", Stage.MODEL)[Stage.MODEL], version
                )

    def model(self, town: str) -> Held:
        act = self.archive.ledger.champion("houses", town)
        assert act is not None
        return self.archive.held(act.record or "")

    @property
    def archive(self) -> Archive:
        return Archive(self.settings.home)

    def source_grows(self, change: Change = same) -> None:
        """The third week comes into the source, changed."""
        write(self.settings, pl.concat([built(2), change(built(3).filter(pl.col("seen") >= datetime(2026, 1, 19)))]))
        ingest(self.archive, self.product, self.settings)

    def asked(
        self,
        rows: pl.DataFrame,
        *,
        at: datetime = NOON,
        keys: bool = True,
        features: Change = same,
        output: Callable[[float], float] = float,
    ) -> None:
        """Answer `rows` at noon of a day; `features` and `output` change what the endpoint computes."""
        log = LogWriter(self.settings.serving("houses") / "log", HOUSES.grid, "w")
        ids, place = Ids(), 0
        for version, town in enumerate(TOWNS, 1):
            mine, model = rows.filter(town=town), self.model(town)
            spec = decode_spec(self.archive.data(model, "spec"))
            kinds = [(name, column.type) for name, column in spec.inputs.items()]
            made = [(name, "str" if name in spec.categories else "float") for name in spec.features]
            columns = msgspec.Raw(msgspec.msgpack.encode(Columns(kinds, made)))
            values = list(mine.select(list(spec.inputs)).iter_rows())
            scores = Predictor(spec, self.archive.data(model, "model")).many(values) if values else []
            logged = [score.features for score in scores]
            if spec.transform and logged:
                logged = list(features(pl.DataFrame(logged, schema=list(spec.features), orient="row")).iter_rows())
            for key, cells, score, seen in zip(mine["id"], values, scores, logged, strict=True):
                row = Row(None, key if keys else None, output(score.output), cells, seen)
                place += 1
                log.append(ids.new(to_ms(at) + place), Body(9, "d", [Part(town, version, columns, [row])]))
        log.close()
        over(self.settings, at + timedelta(days=1), "w", since=datetime(2026, 1, 18))

    def judged(self, town: str = "bath", day: str = DAY) -> Held:
        """Make the stages up to the verdict."""
        kinds = (PredictionsStep, ProfileStep, DriftStep)
        steps = [kind(product=self.product, archive=self.archive, settings=self.settings) for kind in kinds]
        return [step.make(f"{town}|{day}") for step in steps][-1]

    def origin(self, town: str = "bath") -> Origin:
        drift = self.judged(town)
        assert drift.record.facts["state"] == "drift"
        stored = msgspec.json.decode(self.archive.data(drift, "origin"), type=Origin)
        assert drift.record.facts["origin"] == stored.words
        return stored


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was made before anything was asked, once for all tests: a folder for either product."""
    folder = tmp_path_factory.mktemp("trained")
    for product, name in ((LISTED, "listed"), (MADE, "made")):
        (folder / name).mkdir()
        Deployed(folder / name, product)
    return folder


@pytest.fixture
def listed(trained: Path, tmp_path: Path) -> Deployed:
    """The features are columns of the source."""
    shutil.copytree(trained / "listed", tmp_path, dirs_exist_ok=True)
    return Deployed(tmp_path, LISTED)


@pytest.fixture
def made(trained: Path, tmp_path: Path) -> Deployed:
    """The features are made by a function."""
    shutil.copytree(trained / "made", tmp_path, dirs_exist_ok=True)
    return Deployed(tmp_path, MADE)


def states(found: Origin) -> dict[str, str]:
    return {f"{each.ancestor}, {each.how}": each.state for each in found.tested}


def of(found: Origin, ancestor: Ancestor) -> Finding:
    return next(each for each in found.tested if (each.ancestor, each.how) == (ancestor, "against training"))


def test_a_quiet_window_has_no_origin_and_nothing_is_looked_into(listed: Deployed):
    listed.asked(that_day())

    drift = listed.judged()

    assert drift.record.facts["state"] == "ok"
    assert [output.name for output in drift.record.outputs if output.name == "origin"] == []
    assert origin_now(LISTED, listed.archive, f"bath|{DAY}") is None
    assert origin_now(LISTED, listed.archive, "bath|2026-01-21") is None


@pytest.mark.parametrize("keys", [True, False])
def test_a_source_whose_rows_moved_as_the_requests_did_is_where_it_entered(listed: Deployed, keys: bool):
    listed.source_grows(taller)
    listed.asked(taller(that_day()), keys=keys)

    found = listed.origin()

    assert (found.where, found.columns) == ("source", ("height",))
    assert "its own rows of that time moved as the requests did: height is" in found.words
    source = of(found, "source")
    assert [str(read.place) for read in source.read] == [f"houses/source[bath|{WEEKS[2]}]"]
    assert source.p_value is not None


def test_a_client_that_sends_metres_is_between_source_and_serving(listed: Deployed):
    listed.source_grows()
    listed.asked(in_metres(that_day(later=1)))  # their keys find them, whatever their time

    found = listed.origin()

    assert (found.where, found.columns) == ("between source and serving", ("height",))
    assert f"height differs from the source's in {A_DAY} of {A_DAY} rows, each 0.3048 times as large" in found.words
    assert (states(found)["source, against training"], of(found, "source").rows) == ("ok", A_DAY)


def test_without_keys_the_source_is_compared_by_time(listed: Deployed):
    listed.source_grows()
    listed.asked(in_metres(that_day()), keys=False)

    found = listed.origin()

    assert (found.where, found.columns) == ("between source and serving", ("height",))
    assert "the source's own rows of that time did not move" in found.words
    assert of(found, "source").rows == A_DAY


def test_before_the_source_has_rows_it_says_what_is_waited_for_and_can_be_asked_again(listed: Deployed):
    listed.asked(in_metres(that_day()))

    first = listed.origin()
    listed.source_grows()
    now = origin_now(LISTED, listed.archive, f"bath|{DAY}")

    assert (first.where, first.columns) == ("requests", ("height",))
    assert f"holds no rows of {DAY} yet; the dataset of {WEEKS[2]} is made when its labels are due" in first.words
    assert "(2026-01-28T00:00+00:00)" in first.words
    assert now is not None
    assert (now.where, now.columns) == ("between source and serving", ("height",))
    assert listed.judged().skipped  # the verdict is not stale for it


def test_once_the_dataset_is_made_it_and_its_features_are_tested_too(listed: Deployed):
    listed.source_grows(taller)
    listed.asked(taller(that_day()))
    before = listed.origin()
    make(listed.settings, LISTED, f"bath|{WEEKS[2]}")

    now = origin_now(LISTED, listed.archive, f"bath|{DAY}")

    assert states(before)["dataset, against training"] == "cannot tell"
    assert now is not None
    assert now.where == "source"
    assert {name: states(now)[f"{name}, against training"] for name in ("dataset", "features")} == {
        "dataset": "drift",
        "features": "drift",
    }


def test_only_the_segment_concerned_has_an_origin(listed: Deployed):
    listed.source_grows(only_in("bath", taller))
    listed.asked(only_in("bath", taller)(that_day()))

    bath, york = listed.origin("bath"), listed.judged("york")

    assert (bath.where, bath.columns) == ("source", ("height",))
    assert york.record.facts["state"] == "ok"
    assert "origin" not in york.record.facts


def test_a_feature_that_moved_while_its_inputs_did_not_is_in_feature_code(made: Deployed):
    made.asked(that_day().with_columns(pl.col("serial").str.to_uppercase()))

    found = made.origin()

    assert (found.where, found.columns) == ("feature code", ("number",))
    assert "number, made of serial, moved although the requests did not" in found.words
    assert (of(found, "requests").state, of(found, "requests").asked) == ("ok", ("serial",))
    assert states(found)["features, row by row"] == "ok"


def test_an_input_that_is_not_what_the_source_holds_explains_a_feature_although_it_did_not_move(made: Deployed):
    made.source_grows()
    made.asked(that_day().with_columns(pl.col("serial").str.to_uppercase()))

    found = made.origin()

    assert (found.where, found.columns) == ("between source and serving", ("serial",))
    assert f"serial differs from the source's in {A_DAY} of {A_DAY} rows" in found.words


def test_code_that_changed_since_training_is_told_by_what_it_makes_of_training_rows(
    made: Deployed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(f"{__name__}.UNIT", 10.7639)
    made.asked(that_day())

    found = made.origin()

    assert (found.where, found.columns) == ("feature code", ("area",))
    assert "area differs from what training made in" in found.words
    assert "each 10.76 times as large" in found.words


def test_requests_that_moved_explain_the_features_made_of_them(made: Deployed):
    made.source_grows(taller)
    made.asked(taller(that_day()))

    found = made.origin()

    assert (found.where, found.columns) == ("source", ("height",))
    assert "feature code" not in found.words


def test_an_endpoint_that_computes_other_features_is_between_training_and_serving(made: Deployed):
    made.asked(that_day(), features=lambda rows: rows.with_columns(pl.col("area") * 2))

    found = made.origin()

    assert (found.where, found.columns) == ("between training and serving", ("area",))
    assert (
        f"area differs from what its code makes here in {A_DAY} of {A_DAY} rows, each 2 times as large" in found.words
    )


def test_outputs_that_are_not_the_models_are_between_training_and_serving(listed: Deployed):
    listed.asked(that_day(), output=lambda score: score / 2)

    found = listed.origin()

    assert (found.where, found.columns) == ("between training and serving", ("prediction",))
    assert "prediction differs from what the model says here" in found.words


def test_several_places_are_all_named_the_earliest_first(made: Deployed):
    made.source_grows(taller)
    sent = taller(that_day()).with_columns(pl.col("serial").str.to_uppercase(), pl.col("width") + 4)
    made.asked(sent, features=lambda rows: rows.with_columns(pl.col("area") * 2))

    found = made.origin()

    assert (found.where, found.columns) == ("source", ("height",))
    _, *later = found.words.split("; besides, ")
    assert [words.partition(":")[0] for words in later] == [
        "entered between the source and serving",
        "entered between the source and serving",
        "entered between training and serving",
    ]
    assert "width differs from the source's" in later[0]
    assert "serial differs from the source's" in later[1]
    assert "area differs from what its code makes here" in later[2]


def test_evidence_of_several_windows_is_gathered_from_them_again(made: Deployed):
    slightly = built(3).with_columns(pl.col("height") + 2)
    days = [NOON - timedelta(days=2), NOON - timedelta(days=1), NOON]
    for at in days:
        made.asked(slightly.filter(pl.col("seen").dt.date() == at.date()), at=at)
    drift = [made.judged(day=f"{at:%Y-%m-%d}") for at in days][-1]
    [counted] = [made.archive.held(each.record) for each in drift.record.inputs if each.place.stage == Stage.PROFILE]
    verdict = msgspec.json.decode(made.archive.data(drift, "verdict"), type=Verdict)
    shift = ColumnShift(column="area", effect=0.4, unit="sd", p_value=0.2, words="area is 0.4 sd higher")
    slowly = msgspec.structs.replace(verdict, state="drift", kind="data", columns=(shift,), over=3)

    found = origin_of(MADE, made.archive, counted, slowly)

    assert found is not None
    assert [read.place.partition for read in of(found, "requests").read] == [f"bath|{at:%Y-%m-%d}" for at in days]
    assert (found.where, found.columns) == ("requests", ("height",))


def test_it_says_the_same_each_time(made: Deployed):
    made.asked(taller(that_day()))

    stored = made.origin()

    assert origin_now(MADE, made.archive, f"bath|{DAY}") == stored


def test_evidence_that_is_gone_takes_no_verdict_down(listed: Deployed):
    for file in listed.model("bath").record.inputs:
        dataset = listed.archive.held(file.record).record.inputs[0].record
        envelope = listed.archive.held(dataset).envelope
        (listed.settings.home / envelope.files[0].address).unlink()
    listed.asked(in_metres(that_day()))

    found = listed.origin()

    assert found.where == "cannot tell"
    assert "missing" in found.words
