"""Settings in a temporary home, and models that are fitted once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.fitting import Trained
from mlops_assets_tests.serving.loans import Running, deploy, fitted, route, running


@pytest.fixture(scope="session")
def first() -> Trained:
    """The model of seed 1."""
    return fitted(1)


@pytest.fixture(scope="session")
def second() -> Trained:
    """The model of seed 2, which says something else of the same row."""
    return fitted(2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, first: Trained) -> Iterator[Running]:
    """An endpoint that serves the first model as version 1 to both segments."""
    settings = load_settings(home=tmp_path_factory.mktemp("home"))
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    with running(settings) as endpoint:
        yield endpoint
