"""What a record says can be made again: models to the last bit, answers too; or it is said what differs, and why."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.cli import main
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import canonical, digest
from mlops_assets.evidence.store import replace
from mlops_assets.lineage.replay import replay, replay_lines
from mlops_assets.lineage.retrained import CannotReplay
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import Range, Search, Searched, Trainer
from mlops_assets.serving.log.ids import Ids, text, to_ms
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings, exports
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, declare, deployment, make, over, sales
from mlops_assets_tests.training import own_trainers

NEWEST = f"bath|{WEEKS[2]}"
NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
TREES = {"num_iterations": 8, "min_data_in_leaf": 5}
EPOCHS = {"epochs": 2, "width": 8}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three weeks of houses, of Bath's the data made. Its models may be replayed; nothing may be broken."""
    found = deployment(tmp_path_factory.mktemp("replay"), sales(3))
    for week in WEEKS:
        make(found, HOUSES, f"bath|{week}")
    declare(found, HOUSES)
    return found


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same in a place of the test's own; this process uses it."""
    found = deployment(tmp_path, sales(3))
    for week in WEEKS:
        make(found, HOUSES, f"bath|{week}")
    declare(found, HOUSES)
    for name, value in exports(found).items():
        monkeypatch.setenv(name, value)
    return found


def trained(settings: Settings, product: ModelProduct = HOUSES, partition: str = NEWEST) -> Held:
    return make(settings, product, partition, Stage.MODEL)[Stage.MODEL]


def with_trainer(trainer: Trainer, **changes: object) -> ModelProduct:
    return HOUSES.model_copy(update={"trainer": trainer, **changes})


def trees(windows: int = 2, *, forget: bool = False, seed: int = 0, **params: float) -> ModelProduct:
    return with_trainer(Trainer(windows=windows, forget=forget, params={**TREES, **params}), seed=seed)


def network(windows: int = 2, seed: int = 0, **params: float) -> ModelProduct:
    return with_trainer(Trainer(kind="torch", windows=windows, params={**EPOCHS, **params}), seed=seed)


TWENTY: list[tuple[ModelProduct, int]] = [
    *((trees(windows), week) for windows in (1, 2) for week in (1, 2)),
    *((trees(3, lambda_l2=weight), 2) for weight in (0, 0.5)),
    *((trees(num_leaves=leaves, bagging_fraction=0.7, bagging_freq=1), 2) for leaves in (3, 7, 15)),
    *((trees(seed=seed, feature_fraction=0.6, learning_rate=1.0), 2) for seed in (1, 2)),
    *((trees(3, forget=True, max_bin=bins), 2) for bins in (15, 31)),
    (trees(boosting="dart"), 2),  # type: ignore[arg-type]
    (with_trainer(Trainer(kind=f"{own_trainers.__name__}.ridge", windows=2, params={"ridge": 0.5})), 2),
    *((network(seed=seed), 2) for seed in (0, 1)),
    (network(3, layers=1), 2),
    (network(1, batch=16), 1),
    (network(2, weight_decay=0.1, learning_rate=0.01), 1),
]


def test_twenty_models_are_trained_again_from_their_records_to_the_same_bytes(place: Settings):
    models = [trained(place, product, f"bath|{WEEKS[week]}") for product, week in TWENTY]

    found = [replay(place, held.id) for held in models]

    assert len({held.file("model").sha256 for held in models}) == 20
    assert [each.differs for each in found] == [[]] * 20
    assert {each.exit_code for each in found} == {0}
    assert all(each.same[0].startswith("model: ") for each in found)


def test_the_winner_of_a_search_is_trained_again_alone(place: Settings):
    ridge = Searched(kind=f"{own_trainers.__name__}.ridge", params={"ridge": (0.5, 2.0)})
    forest = Searched(kind="lightgbm", params={**TREES, "num_leaves": Range(low=2, high=9)})
    held = trained(
        place, with_trainer(Trainer(windows=2, forget=True), search=Search(trainers=(ridge, forest), trials=4))
    )
    seen: list[object] = []
    own_trainers.ON_LEARN = seen.append

    found = replay(place, held.id)

    own_trainers.ON_LEARN = None
    [won] = [each for each in held.record.facts["search"] if each.get("won")]
    assert found.equal
    assert len(seen) == (2 if won["trainer"] == ridge.kind else 0)


def test_a_version_is_replayed_by_its_name_and_nothing_is_written(
    settings: Settings, capsys: pytest.CaptureFixture[str]
):
    champion(settings, trained(settings), 1)
    before = sorted(path for path in settings.home.rglob("*") if path.is_file())

    code = main(["replay", "houses@1", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["equal"], told["kind"], told["differs"]) == (0, True, "model", [])
    assert [each.partition(":")[0] for each in told["same"]] == ["model", "spec", "reference", "history", "holdout"]
    assert sorted(path for path in settings.home.rglob("*") if path.is_file()) == before


def forged(settings: Settings, held: Held, **changes: object) -> Held:
    """A record as it never was made, kept as a true one is."""
    archive = Archive(settings.home)
    record = msgspec.structs.replace(held.record, **changes)
    envelope = msgspec.structs.replace(held.envelope, record=record.id)
    replace(settings.home / "records" / record.id[:2] / record.id, canonical(record))
    sealed = canonical(envelope)
    replace(settings.home / "envelopes" / digest(sealed)[:2] / digest(sealed), sealed)
    replace((settings.home / "records" / record.id[:2] / record.id).with_suffix(".envelope"), digest(sealed).encode())
    return archive.held(record.id)


def test_what_differs_is_named(settings: Settings, capsys: pytest.CaptureFixture[str]):
    held = trained(settings)
    lied = forged(settings, held, seed=7, params={**held.record.params, "threshold": 0.3})

    exit_code = main(["replay", lied.id])

    told = capsys.readouterr().out
    assert exit_code == 3
    assert "not equal" in told.splitlines()[0]
    assert re.search(r"✗ model: sha256 \w{12}… became \w{12}…, [\d,]+ bytes", told)
    assert "✗ spec: sha256" in told
    assert "✓ history: " in told


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda record: {"code": msgspec.structs.replace(record.code, id="other", commit="c0ffee" * 4, dirty=True)},
            r"was made by other code: commit c0ffeec0ffee and changes to it, here commit \w+.*constraints.txt",
        ),
        (
            lambda record: {
                "code": msgspec.structs.replace(record.code, id="other"),
                "facts": {**record.facts, "libraries": {**record.facts["libraries"], "lightgbm": "3.0.0"}},
            },
            r"was made with lightgbm 3.0.0 \(here 4\.\d+\.\d+\): commit",
        ),
        (lambda record: {"params": {}}, "how it was trained is not recorded"),
        (lambda record: {"params": {**record.params, "label": "ordinal"}}, "was made by other code"),
    ],
)
def test_a_model_of_other_code_is_not_compared(
    settings: Settings, change: Callable[..., dict[str, object]], problem: str, capsys: pytest.CaptureFixture[str]
):
    held = trained(settings)
    other = forged(settings, held, **change(held.record))

    with pytest.raises(CannotReplay, match=problem):
        replay(settings, other.id)
    assert main(["replay", other.id]) == 1


def test_what_is_unknown_no_model_or_broken_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]):
    held = trained(settings)
    features = held.record.inputs[0].record
    path = settings.home / Archive(settings.home).held(features).file("features").address

    codes = [main(["replay", ref]) for ref in ("houses@9", "0" * 64, "what", features)]
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    assert codes == [4, 4, 4, 1]
    assert "is no model; only models and predictions are replayed" in capsys.readouterr().err
    assert main(["replay", held.id]) == 3
    assert "changed; its bytes do not hash" in capsys.readouterr().err


def live(rows: int = 5) -> pl.DataFrame:
    return sales(3).filter(pl.col("town") == "bath").tail(rows)


def batch(settings: Settings, model: Held, rows: pl.DataFrame) -> list[str]:
    """Log one request of several rows, as the endpoint does, and return the ids of its rows."""
    archive = Archive(settings.home)
    predictor = Predictor(decode_spec(archive.data(model, "spec")), archive.data(model, "model"))
    inputs = predictor.spec.inputs
    features = [(name, "str" if name in predictor.spec.categories else "float") for name in predictor.spec.features]
    columns = msgspec.Raw(
        msgspec.msgpack.encode(Columns([(name, column.type) for name, column in inputs.items()], features))
    )
    values = rows.select(list(inputs)).rows()
    scores = predictor.many(values)
    logged = [
        Row(place, None, score.output, row, score.features)
        for place, (row, score) in enumerate(zip(values, scores, strict=True))
    ]
    log = LogWriter(settings.serving("houses") / "log", HOUSES.grid, "batch")
    id_ = Ids().new(to_ms(NOON))
    log.append(id_, Body(9, "d", [Part("bath", 1, columns, logged)]))
    log.close()
    return [f"{text(id_)}.{place}" for place in range(rows.height)]


@pytest.mark.parametrize("product", [trees(), network()], ids=["lightgbm", "torch"])
def test_an_answer_is_computed_again_from_the_logged_input_sealed_or_not(settings: Settings, product: ModelProduct):
    model = trained(settings, product)
    champion(settings, model, 1)
    ids = batch(settings, model, live(12))

    open_ = [replay(settings, each) for each in ids]
    over(settings, NOON + timedelta(days=1), "batch", since=datetime(2026, 1, 20))
    PredictionsStep(product=HOUSES, archive=Archive(settings.home), settings=settings).make("bath|2026-01-20")
    sealed = [replay(settings, each) for each in ids]

    assert [each.differs for each in open_ + sealed] == [[]] * 24
    assert {(each.kind, each.exit_code, each.record) for each in sealed} == {("prediction", 0, model.id)}
    assert "computed again from record" in replay_lines(sealed[0])[0]


def test_an_answer_that_the_model_does_not_give_is_named(settings: Settings):
    champion(settings, trained(settings), 1)
    [told, *_] = answered(settings, trained(settings, trees(seed=3, num_leaves=3)), 1, live(), NOON, "w")

    found = replay(settings, told)

    [said] = found.differs
    assert re.fullmatch(r"output was 0\.\d+, is 0\.\d+", said)
    assert found.exit_code == 3
