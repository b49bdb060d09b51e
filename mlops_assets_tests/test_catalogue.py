"""Declarations on disk: what is wrong names file, line, what was found and what is known; the others still load."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTree

import mlops_assets
from mlops_assets.catalogue import DeclarationError, check_product, read_catalogue, read_declaration
from mlops_assets.components.model_product import ModelProductComponent
from mlops_assets.definitions import build
from mlops_assets.evidence.archive import Archive
from mlops_assets.graph import build_definitions
from mlops_assets.intake.ingest import ingest
from mlops_assets.operations.status import validate
from mlops_assets.settings import Settings
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.wiring import Platform

LOANS = """\
type: mlops_assets.ModelProduct
attributes:
  name: loans
  source: {path: loans.csv, key: id}
  label: {column: good, delay: 2d}
  features:
    - age
    - salary
  trainer: {kind: lightgbm}
  gate: {metric: auc, floor: 0.6}
"""
PYTHON = """\
from mlops_assets.product import Gate, Label, ModelProduct, Source

product = ModelProduct(
    name="prices",
    source=Source(path="loans.csv"),
    label=Label(column="good"),
    features=("age", "salary"),
    gate=Gate(metric="auc", floor=0.6),
)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment with one good product, `loans`, and its file."""
    found = Settings(
        home=tmp_path / "home",
        root=tmp_path,
        defs=tmp_path / "defs",
        dagster_home=tmp_path / "home" / "dagster",
        mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db",
        ui_url="http://127.0.0.1:3000",
    )
    (tmp_path / "loans.csv").write_text("id,age,salary,good\na,30,2000,1\nb,40,1000,0\n")
    declare(found, "loans", LOANS)
    return found


def declare(settings: Settings, folder: str, text: str, file: str = "defs.yaml") -> Path:
    path = settings.defs / folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("right", "wrong", "line", "problem"),
    [
        (
            "  trainer:",
            "  trainr:",
            9,
            "attributes.trainr: no such field; did you mean 'trainer'?; known: approval, co",
        ),
        ("key: id", "kye: id", 4, "attributes.source.kye: no such field; did you mean 'key'?; known: function, image"),
        ("delay: 2d", "delay: soon", 5, "attributes.label.delay: 'soon' is no duration; right is a number and a unit"),
        ("    - salary", "    - [salary]", 8, "attributes.features.1: Input should be a valid string"),
        (
            "kind: lightgbm",
            "kind: xgb",
            9,
            "attributes.trainer.kind: no trainer 'xgb'; known trainers: lightgbm, torch",
        ),
        ("floor: 0.6", "floor: high", 10, "attributes.gate.floor: Input should be a valid number, unable to parse"),
        ("metric: auc", "metric: rmse", 10, "attributes.gate: no metric 'rmse' of a binary label; known: auc, accur"),
        (
            "  trainer:",
            "  compute:\n    gpu: 1\n    memory: 16GB\n  trainer:",
            11,
            "attributes.compute.memory: '16GB' is no amount of memory; right is a whole number and Mi or Gi, such as",
        ),
        (
            "  trainer:",
            "  compute:\n    segments:\n      all:\n        gpus: 1\n  trainer:",
            12,
            "attributes.compute.segments.all.gpus: no such field; did you mean 'gpu'?; known: cpu, gpu, memory, mi",
        ),
        (
            "  trainer:",
            "  compute:\n    segments: {north: {gpu: 1}}\n  trainer:",
            10,
            "attributes.compute.segments: no segment 'north'; known: all",
        ),
        ("  name: loans\n", "", 2, "attributes.name: Field required"),
        ("good, delay: 2d", "age", 2, ": the label 'age' is among the features"),
    ],
)
def test_a_wrong_field_is_named_with_file_and_line(settings: Settings, right: str, wrong: str, line: int, problem: str):
    file = declare(settings, "loans", LOANS.replace(right, wrong))

    with pytest.raises(DeclarationError) as error:
        read_declaration(file)

    assert problem in str(error.value)
    assert str(error.value).startswith(f"{file}:{line}: ")


def test_every_wrong_field_is_named_not_only_the_first(settings: Settings):
    file = declare(settings, "loans", LOANS.replace("key: id", "kye: id").replace("delay: 2d", "delay: soon"))

    with pytest.raises(DeclarationError) as error:
        read_declaration(file)

    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [f"{file}:4", f"{file}:5"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LOANS.replace("{path", "{{path"), ":5: not YAML: expected ',' or '}'"),
        (LOANS.replace("  label:", "\tlabel:"), ":5: not YAML: found character '\\t'"),
        (LOANS.replace("loans.csv", "loans\0csv"), ":1: not YAML: unacceptable character"),
        (
            f"type: {LOANS.split()[1]}\nattributes:\n  - name: loans\n",
            ":1: found the fields type, attributes; right is",
        ),
        (LOANS.replace("attributes:", "atributes:"), ":1: found the fields type, atributes; right is `type` and `attr"),
        (LOANS + "requirements: {}\n", ":1: found the fields type, attributes, requirements; right is `type` and"),
    ],
)
def test_a_file_that_is_no_declaration_is_named_with_its_line(settings: Settings, text: str, problem: str):
    file = declare(settings, "loans", text)

    with pytest.raises(DeclarationError) as error:
        read_declaration(file)

    assert str(error.value).startswith(f"{file}{problem}")


def test_the_other_products_still_load_and_the_wrong_one_says_why(settings: Settings, caplog: pytest.LogCaptureFixture):
    file = declare(settings, "wrong", LOANS.replace("kind: lightgbm", "kind: xgb"))
    declare(settings, "notes", "nothing: here\n")
    catalogue = read_catalogue(settings.defs)

    graph = build(settings).resolve_asset_graph()

    assert (list(catalogue.products), list(catalogue.errors)) == (["loans"], ["wrong"])
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {"loans"}
    assert f"{file}:9: attributes.trainer.kind: no trainer 'xgb'" in caplog.text
    with pytest.raises(DeclarationError, match="no trainer 'xgb'"):
        catalogue.product("wrong")
    with pytest.raises(LookupError, match="no product 'lones'; known products: loans"):
        catalogue.product("lones")


@pytest.mark.parametrize(
    ("right", "wrong", "line", "problem"),
    [
        (
            "    - salary",
            "    - slary",
            8,
            "attributes.features.1: no column 'slary' (did you mean 'salary'?); columns",
        ),
        ("column: good", "column: bad", 5, "attributes.label.column: no column 'bad'; columns: id, age, salary, good"),
        ("key: id", "key: nr", 4, "attributes.source.key: no column 'nr'; columns: id, age, salary, good"),
        ("loans.csv", "lones.csv", 4, "attributes.source.path: no file 'lones.csv': nothing is at "),
        ("path: loans.csv", "function: m.f", 4, "attributes.source.function: no function 'm.f': there is no module"),
        (
            "lightgbm}",
            "lightgbm, params: {leaves: 3}}",
            9,
            "attributes.trainer.params: no parameter 'leaves' of trainer",
        ),
    ],
)
def test_what_the_declaration_names_is_looked_for_when_it_is_loaded(
    settings: Settings, caplog: pytest.LogCaptureFixture, right: str, wrong: str, line: int, problem: str
):
    file = declare(settings, "loans", LOANS.replace(right, wrong))

    graph = build(settings).resolve_asset_graph()

    assert not graph.get_all_asset_keys()
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{file}:{line}: {problem}")
    assert validate(settings) == [said]


def test_a_features_function_that_cannot_be_imported_stops_only_its_product(
    settings: Settings, caplog: pytest.LogCaptureFixture, module: Path
):
    module.write_text("import nowhere\n\ndef made(frame):\n    return frame\n")
    listed = "  features:\n    - age\n    - salary\n"
    text = LOANS.replace(listed, "  features: own_features.made\n").replace("name: loans", "name: other")
    file = declare(settings, "other", text)

    graph = build(settings).resolve_asset_graph()

    assert {key.path[0] for key in graph.get_all_asset_keys()} == {"loans"}
    expected = f"{file}:6: attributes.features: no function 'own_features.made': there is no module 'nowhere'"
    assert caplog.messages == [expected]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where `own_features` is imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "own_features.py"
    sys.modules.pop("own_features", None)


def test_a_function_that_is_a_source_is_not_called_at_load(settings: Settings, module: Path):
    module.write_text("def rows():\n    raise RuntimeError('called')\n")
    file = declare(settings, "loans", LOANS.replace("path: loans.csv", "function: own_features.rows"))
    product = read_declaration(file)
    assert product is not None

    check_product(product, settings)


def test_a_source_that_was_read_before_may_be_gone_when_its_product_is_loaded(settings: Settings):
    product = read_catalogue(settings.defs).product("loans")
    ingest(Archive(settings.home), product, settings)
    (settings.root / "loans.csv").unlink()

    check_product(product, settings)

    with pytest.raises(ValueError, match=r"source\.path: no file 'lones.csv'"):
        check_product(
            product.model_copy(update={"source": product.source.model_copy(update={"path": "lones.csv"})}), settings
        )
    with pytest.raises(ValueError, match=r"features.0: no column 'agee' \(did you mean 'age'\?\)"):
        check_product(product.model_copy(update={"features": ("agee",)}), settings)


def test_a_product_may_be_declared_in_python(settings: Settings):
    declare(settings, "prices", PYTHON, "product.py")

    catalogue = read_catalogue(settings.defs)

    assert sorted(catalogue.products) == ["loans", "prices"]
    assert catalogue.product("prices").gate.floor == 0.6


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("metric=", "metrik=", "8: metrik: no such field; did you mean 'metric'?; known: calibration, fair"),
        ('("age", "salary")', '("age", "good")', "3: the label 'good' is among the features"),
        ("import Gate", "import Gat", "1: ImportError: cannot import name 'Gat'"),
        ("product = ModelProduct(", "product = ModelProduct(]", "3: SyntaxError: "),
        ('"prices"', "{}['name']", "4: KeyError: 'name'"),
        ("product = ", "produkt = ", "1: found no `product`; right is `product = ModelProduct(...)`"),
    ],
)
def test_a_wrong_python_declaration_is_named_with_file_and_line(
    settings: Settings, right: str, wrong: str, problem: str
):
    file = declare(settings, "prices", PYTHON.replace(right, wrong), "product.py")

    catalogue = read_catalogue(settings.defs)

    assert list(catalogue.products) == ["loans"]
    assert str(catalogue.errors["prices"]).startswith(f"{file}:{problem}")


def test_the_second_product_of_one_name_is_refused(settings: Settings):
    declare(settings, "zweitens", LOANS)

    catalogue = read_catalogue(settings.defs)

    assert list(catalogue.products) == ["loans"]
    first = settings.defs / "loans" / "defs.yaml"
    assert str(catalogue.errors["zweitens"]) == (
        f"{settings.defs / 'zweitens'}: a product called 'loans' is in {first} already"
    )


def test_nothing_declared_is_nothing_wrong(settings: Settings, tmp_path: Path):
    assert read_catalogue(tmp_path / "gone").products == {}


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # its references from assets to their YAML
def test_dagsters_own_component_machinery_makes_the_same_graph(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    product = read_catalogue(settings.defs).product("loans")
    monkeypatch.setenv("MLOPS_ASSETS_ROOT", str(tmp_path))
    monkeypatch.setenv("MLOPS_ASSETS_HOME", str(tmp_path / "home"))
    package = tmp_path / "of_a_user"
    declared = package / "defs" / "loans" / "defs.yaml"
    declared.parent.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    declared.write_text(LOANS)
    (tmp_path / "pyproject.toml").write_text(
        dedent("""\
            [tool.dg]
            directory_type = "project"
            [tool.dg.project]
            root_module = "of_a_user"
            """)
    )
    monkeypatch.syspath_prepend(tmp_path)

    made = ComponentTree.for_project(tmp_path).build_defs_at_path(declared.parent)

    resources = {"platform": Platform(), "mlflow": mlflow_resource(settings)}
    theirs, ours = (
        dg.Definitions.merge(defs, dg.Definitions(resources=resources)).resolve_asset_graph()
        for defs in (made, build_definitions(product, settings))
    )
    assert theirs.get_all_asset_keys() == ours.get_all_asset_keys()
    assert theirs.asset_check_keys == ours.asset_check_keys
    assert mlops_assets.ModelProduct is ModelProductComponent
