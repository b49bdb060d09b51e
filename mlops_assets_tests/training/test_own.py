"""A trainer of the user's own: looked through, and through the whole graph as the shipped ones are."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_assets.catalogue import check_product
from mlops_assets.evidence import code
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.operations.flow import step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import Search, Searched, Trainer
from mlops_assets.settings import Settings, exports
from mlops_assets.testing import example
from mlops_assets.training.model import decode_spec
from mlops_assets.training.own import BrokenTrainer, own_trainer
from mlops_assets.training.predictor import Predictor
from mlops_assets.training.trainers import trainer_named
from mlops_assets_tests.houses import HOUSES, declare, deployment, looped, make, partitions
from mlops_assets_tests.training import own_trainers

OWN = own_trainers.__name__
BATH, BATH_2 = partitions()[0], partitions()[2]


def with_trainer(kind: str, **params: float) -> ModelProduct:
    return HOUSES.model_copy(update={"trainer": Trainer(kind=kind, windows=2, params=dict(params))})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two weeks of houses, of Bath's the data made; this process uses them."""
    found = deployment(tmp_path)
    for name, value in exports(found).items():
        monkeypatch.setenv(name, value)
    for partition in (BATH, BATH_2):
        make(found, HOUSES, partition)
    return found


@pytest.mark.parametrize("name", ["ridge", "whole"])
def test_it_is_measured_and_named_as_the_shipped_ones_are(name: str):
    data = example()

    trained = trainer_named(f"{OWN}.{name}")(data, {"ridge": 0.1}, 0)

    assert trained.metrics["auc"] > 0.85
    assert set(trained.metrics) == {"auc", "accuracy", "f1", "log_loss", "brier"}
    assert (trained.spec.kind, trained.spec.categories["street"]) == (f"{OWN}.{name}", ["high", "low", "mill"])
    assert sum(trained.spec.importance.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nothing", "returned a NoneType; right is a Trained of mlops_assets.training.fitting"),
        ("pickled", "model_bytes is a pickle, which runs code where it is loaded; right is a format that holds no"),
        ("no_bytes", "model_bytes is a str; right is bytes"),
        ("not_finite", "3 scores are not finite; right is a number for every held-out row"),
        ("too_few_scores", r"scores have the shape \(65,\) of float64; right is \(66,\) of float64"),
        ("other_scores", "load_predictor scores the held-out rows otherwise than `scores` says"),
        ("amounts", r"scores lie in \[7\.\d+, \d\.\d+\]; right are probabilities, in \[0, 1\]"),
        ("other_features", r"spec.features is \['rooms', 'empty'.*right is \['size', 'street', 'empty', 'rooms'\]"),
        ("other_rows", "66 other rows are held out; right are the 66 of `parts"),
        ("fails", r"failed at line \d+: KeyError: 'street'"),
    ],
)
def test_what_comes_back_is_looked_through(name: str, problem: str):
    with pytest.raises(BrokenTrainer, match=f"^{OWN}.{name}:? {problem}"):
        own_trainer(f"{OWN}.{name}").fit(example(), {}, 0)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (f"{OWN}.ridg", rf"trainer.kind: no function '{OWN}.ridg' \(did you mean 'ridge'\?\)"),
        ("mlops_assets_tests.training.own_trainer.ridge", r"there is no module '.*' \(did you mean 'own_trainers'\?\)"),
        (
            "mlops_assets_tests.training.lonely_trainer.fit",
            "no function '.*lonely_trainer.load_predictor'",
        ),
        (
            f"{OWN}.two_arguments",
            r"two_arguments\(features, params\) does not fit; right is \(features, params, seed\)",
        ),
    ],
)
def test_a_trainer_that_cannot_be_called_is_refused_when_the_declaration_loads(
    settings: Settings, kind: str, problem: str
):
    with pytest.raises(ValueError, match=problem):
        check_product(with_trainer(kind), settings)


def test_a_misspelt_parameter_of_a_module_that_lists_them_is_refused_when_the_declaration_loads(settings: Settings):
    check_product(with_trainer(f"{OWN}.ridge", ridge=2), settings)

    with pytest.raises(ValueError, match=r"trainer.params: no parameter 'rigde' .*\(did you mean 'ridge'\?\)"):
        check_product(with_trainer(f"{OWN}.ridge", rigde=2), settings)
    searched = HOUSES.model_copy(
        update={"search": Search(trainers=(Searched(kind="torch"), Searched(kind=f"{OWN}.ridge", params={"alpha": 1})))}
    )
    with pytest.raises(ValueError, match=r"search.trainers.1.params: no parameter 'alpha'"):
        check_product(searched, settings)


def test_it_is_trained_registered_promoted_and_deployed_and_answers(settings: Settings):
    product = with_trainer(f"{OWN}.ridge", ridge=0.1)
    declare(settings, product)

    with looped(settings) as loop:
        ran = loop.run("houses_retrain", BATH_2)

    archive = Archive(settings.home)
    act = archive.ledger.champion("houses", "bath")
    assert ran.problems == ()
    assert act is not None
    held = archive.held(act.record or "")
    assert held.file("model").address.endswith(".bin")
    model = Predictor(decode_spec(archive.data(held, "spec")), archive.data(held, "model"))
    assert model.one((10.0, 3, "mill")).output > 0.8 > 0.2 > model.one((90.0, 3, "mill")).output
    assert archive.head(Place(product="houses", stage=Stage.ENDPOINT, partition="all")) is not None


def test_a_trainer_that_breaks_says_so_and_no_model_is_kept(settings: Settings):
    declare(settings, with_trainer(f"{OWN}.fails"))

    with looped(settings) as loop:
        ran = loop.run("houses_retrain", BATH_2)

    [said] = ran.problems
    assert said.startswith(f"model: houses/model[{BATH_2}]: {OWN}.fails failed at line ")
    assert said.endswith(": KeyError: 'street'")
    assert Archive(settings.home).heads("houses", "model") == {}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Writes `towers/trainer.py` and lets the next recipe see it."""
    (tmp_path / "towers").mkdir()
    (tmp_path / "towers" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        for cached in (code.code_id, code._read):
            cached.cache_clear()
        for name in [name for name in sys.modules if name.startswith("towers")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def write(text: str) -> None:
        (tmp_path / "towers" / "trainer.py").write_text(text)
        forget()

    yield write
    forget()


def test_its_source_and_the_libraries_it_imports_are_in_the_recipe(settings: Settings, module: Callable[[str], None]):
    text = f"import sklearn\nfrom {OWN} import load_predictor, ridge as fit\n"
    product = with_trainer("towers.trainer.fit")
    module(text)
    first = make(settings, product, BATH_2, Stage.MODEL)[Stage.MODEL]

    module("# ours\n" + text)
    after_comment = step(Stage.MODEL, product, settings).status(BATH_2)[0]
    module(text.replace("ridge as fit", "whole as fit"))

    assert set(first.record.facts["libraries"]) >= {"polars", "numpy", "lightgbm", "torch", "sklearn"}
    assert after_comment == "done"
    assert step(Stage.MODEL, product, settings).status(BATH_2)[0] == "stale"
