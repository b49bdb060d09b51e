"""What all tests share: an environment of their own, and a product small enough to be made in one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.settings import Settings, exports, load_settings
from mlops_assets_tests.tiny import Tiny, declare


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Telemetry is off, and what names no home has one that no deployment uses; the shell's settings do not count."""
    before = dict(os.environ)
    for name in exports(load_settings()):
        os.environ.pop(name, None)
    os.environ.pop("MLOPS_ASSETS_ALERTS", None)  # nobody is alerted by a test
    os.environ.update(exports(load_settings(home=tmp_path_factory.mktemp("nobodys"))))
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    yield
    _restore(before)


@pytest.fixture(autouse=True, scope="module")
def environment_of_a_module(own_environment: None) -> Iterator[None]:
    """What fixtures of a module write into the environment (a command adopts its settings) stays in the module."""
    before = dict(os.environ)
    yield
    _restore(before)


@pytest.fixture(autouse=True)
def environment_as_before(environment_of_a_module: None) -> Iterator[None]:
    """What a test writes into the environment does not reach the next one."""
    before = dict(os.environ)
    yield
    _restore(before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of the test's own; nothing is there yet."""
    return tmp_path / "home"


@pytest.fixture
def tiny_product(tmp_path: Path, home: Path) -> Tiny:
    """`tiny`, declared under a home of its own, with three days of history in its source and nothing made."""
    return declare(load_settings(home=home), tmp_path)


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of a home of the test's own, with the shipped declarations."""
    return load_settings(home=home)


def _restore(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)
