"""The layout keeps its rules: every violation is named with file and line."""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable

import pytest

from mlops_assets_tests.layout import (
    PRODUCT,
    ROOT,
    RULES,
    TEST_RULES,
    TESTS,
    Module,
    Rule,
    errors_are_named,
    files_and_functions_are_short,
    files_say_what_they_are,
    heavy_libraries_wait,
    imports,
    imports_follow_the_flow,
    modules,
    names_say_what_they_are,
    nothing_happens_at_import,
    only_settings_read_the_environment,
    only_wiring_imports_dagster,
    package_files_are_empty,
    parse,
    plain_modules_load_no_wiring,
    product_needs_nothing_beside_it,
    signatures_are_typed,
)


def violations(rule: Rule, package: str, found: Iterable[Module]) -> list[str]:
    return [f"{package}/{module.name}:{line} {text}" for module in found for line, text in rule(module)]


@pytest.mark.parametrize("rule", RULES)
def test_the_product_keeps(rule: Rule):
    found = violations(rule, PRODUCT, modules(PRODUCT))

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", TEST_RULES)
def test_the_tests_keep(rule: Rule):
    found = violations(rule, TESTS, modules(TESTS))

    assert not found, "\n" + "\n".join(found)


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {_named(re.split(r"[\[<>=]", need)[0]) for needs in lists for need in needs}
    origins = importlib.metadata.packages_distributions()

    missing = [
        f"{package}/{module.name}:{line} {name}"
        for package in (PRODUCT, TESTS)
        for module in modules(package)
        for line, name in imports(module.tree)
        if (top := name.split(".")[0]) not in {*sys.stdlib_module_names, PRODUCT, TESTS, "benchmarks"}
        and not declared & {_named(distribution) for distribution in origins.get(top, [])}
    ]

    assert not missing, "not among the dependencies of pyproject.toml:\n" + "\n".join(missing)


def _named(distribution: str) -> str:
    """A distribution's name as PyPI compares it."""
    return distribution.lower().replace("_", "-")


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (only_wiring_imports_dagster, "dataset/sources.py", "def f():\n    import dagster as dg"),
        (plain_modules_load_no_wiring, "serving/answering/app.py", "from mlops_assets.serving.assets import x"),
        (heavy_libraries_wait, "training/gbdt.py", "try:\n    import lightgbm\nexcept ImportError: ..."),
        (imports_follow_the_flow, "dataset/sources.py", "from mlops_assets.training.model import ModelSpec"),
        (imports_follow_the_flow, "surprise.py", "from mlops_assets.product import Stage"),
        (package_files_are_empty, "serving/__init__.py", "x = 1"),
        (package_files_are_empty, "__init__.py", "'''Doc.'''\nimport os"),
        (only_settings_read_the_environment, "serving/answering/app.py", "import os\nx = os.environ.get('X')"),
        (files_and_functions_are_short, "windows.py", "def f():\n" + "    x = 1\n" * 45),
        (files_and_functions_are_short, "windows.py", "x = 1\n" * 251),
        (files_say_what_they_are, "windows.py", "x = 1"),
        (names_say_what_they_are, "serving/log_utils.py", ""),
        (names_say_what_they_are, "windows.py", "class LogManager: ..."),
        (signatures_are_typed, "windows.py", "class A:\n    def f(self, **kw: int) -> None: ..."),
        (signatures_are_typed, "windows.py", "def f(a: dict[str, Any]) -> None: ..."),
        (errors_are_named, "windows.py", "try: ...\nexcept (KeyError, Exception): ..."),
        (nothing_happens_at_import, "windows.py", "print(1)"),
        (product_needs_nothing_beside_it, "samples.py", "x = '../shared/data'"),
    ],
)
def test_a_rule_names_what_breaks_it(rule: Rule, name: str, text: str):
    found = list(rule(parse(name, text)))

    assert len(found) == 1


def test_types_and_lazy_imports_are_no_violation():
    text = "if TYPE_CHECKING:\n    import torch\ndef f():\n    from mlops_assets.wiring import job\n    import mlflow"
    module = parse("training/networks/network.py", text)

    assert not [*heavy_libraries_wait(module), *plain_modules_load_no_wiring(module)]
