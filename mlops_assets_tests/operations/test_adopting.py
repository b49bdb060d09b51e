"""Adopting a model that was trained elsewhere: it serves, it is traced as of unknown origin, and it can be replaced."""

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lightgbm
import msgspec
import pandas as pd
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.intake.ingest import ingest
from mlops_assets.lineage.proof import trace_lines
from mlops_assets.lineage.trace import trace
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.operations.adopting import adopt
from mlops_assets.operations.approving import Answered
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, Stage
from mlops_assets.registry.adoption.adopt import prepared_adoption
from mlops_assets.registry.adoption.model_file import read_model_file
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets.settings import adopt as use
from mlops_assets.training.model import decode_spec, encode_spec
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, deployment, make, over, registered, sales
from mlops_assets_tests.intact import assert_finished

FEATURES = ["price", "rooms", "street"]
STREETS = ["mill", "low", "high"]  # not the order in which our own trainer would have them
PRODUCT = """\
from mlops_assets_tests.houses import HOUSES

product = HOUSES.model_copy(update={"segments": ("bath", "york")})
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return declared(tmp_path)


def declared(folder: Path) -> Settings:
    """`houses` with its source, of which nothing is made yet."""
    made = deployment(folder, sales(2, rows=150))
    (made.defs / "houses").mkdir(parents=True)
    (made.defs / "houses" / "product.py").write_text(PRODUCT)
    return made


def seen(frame: pl.DataFrame) -> pd.DataFrame:
    """The features as somebody else had them in pandas, the streets as categories in an order of his own."""
    rows = pd.DataFrame(frame.select(FEATURES).to_dict(as_series=False))
    return rows.assign(street=pd.Categorical(rows["street"], categories=STREETS))


def foreign(folder: Path, frame: pl.DataFrame | None = None) -> tuple[Path, lightgbm.LGBMClassifier]:
    """A classifier fitted with scikit-learn's API on the houses of another year, and its text."""
    frame = sales(2, rows=150) if frame is None else frame
    small = {"n_estimators": 5, "min_child_samples": 5, "min_data_per_group": 5, "num_threads": 1, "verbose": -1}
    model = lightgbm.LGBMClassifier(**small)
    model.fit(seen(frame), frame["sold"].to_numpy())
    file = folder / "houses.txt"
    model.booster_.save_model(file)
    return file, model


def recorded(settings: Settings, file: Path) -> Held:
    """Adopt a file as the command does, without MLflow and Dagster, and return its record."""
    archive, partition = Archive(settings.home), f"bath|{WEEKS[0]}"
    ingest(archive, HOUSES, settings)
    prepared = prepared_adoption(step(Stage.MODEL, HOUSES, settings), read_model_file(file), partition)
    held = archive.make(prepared.recipe, prepared.inputs, prepared.build)
    archive.ledger.add(msgspec.structs.replace(registered(settings, held, 1), kind="adopt", by="jo (asserted)"))
    assert make(settings, HOUSES, partition, Stage.CHAMPION)[Stage.CHAMPION].record.facts["answer"] == "promote"
    return held


@dataclass(frozen=True, kw_only=True)
class Served:
    """A deployment in which a model was adopted by the command, twice."""

    settings: Settings
    model: lightgbm.LGBMClassifier
    done: list[Answered]
    held: Held


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    settings = declared(folder)
    use(settings)
    file, model = foreign(folder)
    done = [adopt(settings, "houses", file, segment="bath", reason="since 2019", key=None) for _ in range(2)]
    champion = Archive(settings.home).ledger.champion("houses", "bath")
    assert champion is not None
    assert champion.record is not None
    return Served(settings=settings, model=model, done=done, held=Archive(settings.home).held(champion.record))


def test_a_model_of_lightgbm_with_categories_serves_as_it_did_elsewhere(served: Served):
    asked = sales(1, rows=40).with_columns(street=pl.when(pl.col("rooms") > 6).then(pl.lit("new")).otherwise("street"))
    archive, record = Archive(served.settings.home), served.held.record
    spec = decode_spec(archive.data(served.held, "spec"))

    predictor = Predictor(spec, archive.data(served.held, "model"))
    rows = [tuple(row) for row in asked.select(list(spec.inputs)).iter_rows()]
    predictor.check(rows)

    theirs = served.model.predict_proba(seen(asked))[:, 1].tolist()
    assert [score.output for score in predictor.many(rows)] == pytest.approx(theirs, abs=1e-12)
    assert spec.categories == {"street": STREETS}
    assert (record.inputs, record.facts["origin"], record.facts["file"]) == ([], "unknown", "houses.txt")


@pytest.mark.filterwarnings("ignore")  # what mlflow says about itself when it is imported
def test_mlflow_answers_as_the_adopted_model_does(served: Served):
    import mlflow

    asked = sales(1, rows=40)
    mlflow.set_tracking_uri(served.settings.mlflow_uri)

    loaded = mlflow.pyfunc.load_model("models:/houses/1")

    theirs = served.model.predict_proba(seen(asked))[:, 1].tolist()
    answers = loaded.predict(pd.DataFrame(asked.select(FEATURES).to_dict(as_series=False)))
    assert pd.DataFrame(answers).iloc[:, 0].tolist() == pytest.approx(theirs, abs=1e-12)


def test_adopting_twice_is_adopting_once_and_everybody_agrees_on_it(served: Served, tmp_path: Path):
    acts = Archive(served.settings.home).ledger.acts("houses", "register", "adopt", "promote")

    assert [done.good for done in served.done] == [True, True]
    assert served.done[0].lines[1] == "houses[bath]: champion 1, deployed"
    assert [(act.kind, act.by.endswith("(asserted)")) for act in acts] == [
        ("register", False),
        ("adopt", True),
        ("promote", False),
    ]
    assert_finished(served.settings, HOUSES.model_copy(update={"segments": ("bath",)}))
    other, _ = foreign(tmp_path, sales(3, rows=120))
    with pytest.raises(
        ValueError, match=r"houses\[bath\] has the champion houses@1; a model of unknown origin may only"
    ):
        adopt(served.settings, "houses", other, segment="bath", reason="newer", key=None)


def test_a_trace_says_that_the_origin_is_unknown_and_is_never_a_proof(served: Served):
    for ref in ("houses@1", served.held.id):
        proof = trace(served.settings, ref, budget_s=None)

        told = "\n".join(trace_lines(proof))
        assert proof.exit_code == 2
        assert "ORIGIN      UNKNOWN" in told
        assert "partly: a model's origin is unknown; " in told
        assert "origin unknown; it was adopted from houses.txt, sha256 " in proof.walked.unverified[0]
        assert proof.model is not None
        assert (proof.model.origin, proof.model.trigger.kind) == ("unknown", "adopted")


def test_a_later_candidate_is_compared_with_it_on_the_same_rows_and_replaces_it(settings: Settings, tmp_path: Path):
    recorded(settings, foreign(tmp_path, sales(2, rows=150).with_columns(sold=1 - pl.col("sold")))[0])
    for week in WEEKS[:2]:
        make(settings, HOUSES, f"bath|{week}")
    candidate = make(settings, HOUSES, f"bath|{WEEKS[1]}", Stage.MODEL)[Stage.MODEL]
    registered(settings, candidate, 2)

    facts = make(settings, HOUSES, f"bath|{WEEKS[1]}", Stage.CHAMPION)[Stage.CHAMPION].record.facts

    assert facts["answer"] == "promote"
    assert float(str(facts["champion"])) < 0.3 < float(str(facts["candidate"]))


def test_without_the_act_of_who_adopted_it_nobody_is_promoted(settings: Settings, tmp_path: Path):
    archive, partition = Archive(settings.home), f"bath|{WEEKS[0]}"
    ingest(archive, HOUSES, settings)
    prepared = prepared_adoption(step(Stage.MODEL, HOUSES, settings), read_model_file(foreign(tmp_path)[0]), partition)
    registered(settings, archive.make(prepared.recipe, prepared.inputs, prepared.build), 1)

    facts = make(settings, HOUSES, partition, Stage.CHAMPION)[Stage.CHAMPION].record.facts

    assert facts["answer"] == "refuse"
    assert "nobody stands for this model of unknown origin" in str(facts["reasons"])


@pytest.mark.parametrize("featured", [True, False])
def test_drift_is_judged_against_the_newest_features_or_it_cannot_tell(
    settings: Settings, tmp_path: Path, featured: bool
):
    for week in WEEKS[:2] if featured else ():
        make(settings, HOUSES, f"bath|{week}")
    model, day = recorded(settings, foreign(tmp_path)[0]), datetime(2026, 1, 21)
    dear = sales(1, rows=120).filter(pl.col("town") == "bath").with_columns(price=pl.col("price") + 500)
    answered(settings, model, 1, dear, day.replace(tzinfo=UTC), "w")
    over(settings, day + timedelta(days=2), "w")

    archive, partition = Archive(settings.home), f"bath|{day:%Y-%m-%d}"
    for kind in (PredictionsStep, ProfileStep, DriftStep):
        held = kind(product=HOUSES, archive=archive, settings=settings).make(partition)

    assert held.record.facts["state"] == ("drift" if featured else "cannot tell"), held.record.facts["words"]
    if featured:
        assert "the model was adopted, and nobody knows the rows that it learned from" in str(
            held.record.facts["origin"]
        )


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_what_runs_code_or_does_not_fit_is_refused_with_what_is_right(settings: Settings, tmp_path: Path):
    file, model = foreign(tmp_path)
    text, names, levels = file.read_text(), "price rooms street", '[["mill", "low", "high"]]'
    cases: dict[str, tuple[str | bytes, str]] = {
        "m.pkl": (pickle.dumps(model), r"m\.pkl is a pickle: loading it would run code that nobody has seen; right is"),
        "m.pt": (b"PK\x03\x04...", "is a zip with pickles in it"),
        "m.onnx": (b"\x08\x07...", "is no model file known here; right is LightGBM's text"),
        "m.safetensors": (b"\x02\0\0\0\0\0\0\0{}", r"has no spec\.json beside it"),
        "cut.txt": (text[:1200] + text[text.index("\npandas_") :], "LightGBM cannot read it; it is cut off or damaged"),
        "own.txt": (text.replace("objective=binary", "objective=mine"), "its objective is mine; known are binary"),
        "kind.txt": (
            text.replace("objective=binary sigmoid:1", "objective=regression"),
            "is a regression model; the declared label is binary",
        ),
        "order.txt": (
            text.replace(names, "rooms price street"),
            "learned from the features rooms, price, street, in this order; declared are price, rooms, street",
        ),
        "names.txt": (text.replace(names, "Column_0 Column_1 Column_2"), "its features have no names"),
        "none.txt": (text.replace(levels, "null"), "has levels of 0 categorical columns; features of text are: street"),
        "ints.txt": (text.replace(levels, "[[1, 2, 3]]"), "a category is no text"),
    }
    for name, (data, problem) in cases.items():
        with pytest.raises(ValueError, match=problem):
            recorded(settings, write(tmp_path / name, data))
    for segment, problem in ((None, "houses has the segments bath, york; right is --segment"), ("rome", "no segment")):
        with pytest.raises((ValueError, LookupError), match=problem):
            adopt(settings, "houses", file, segment=segment, reason="r", key=None)
    assert Archive(settings.home).ledger.acts("houses") == []


def test_a_model_of_ours_from_elsewhere_comes_with_its_spec(settings: Settings, tmp_path: Path):
    (tmp_path / "theirs").mkdir()
    theirs = deployment(tmp_path / "theirs", sales(2, rows=150))
    trained = make(theirs, HOUSES, f"bath|{WEEKS[0]}", *DATA, Stage.MODEL)[Stage.MODEL]
    archive = Archive(theirs.home)
    spec, file = decode_spec(archive.data(trained, "spec")), write(tmp_path / "m.txt", archive.data(trained, "model"))
    turned = msgspec.structs.replace(spec, features=["rooms", "price", "street"])
    write(tmp_path / "spec.json", encode_spec(turned))
    with pytest.raises(ValueError, match="learned from the features rooms, price, street"):
        recorded(settings, file)
    write(tmp_path / "spec.json", encode_spec(spec))

    held = recorded(settings, file)

    mine = decode_spec(Archive(settings.home).data(held, "spec"))
    assert (mine.classes, mine.categories, mine.importance) == (spec.classes, spec.categories, spec.importance)
