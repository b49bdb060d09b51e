"""The loop of Bath, made once and copied for each test."""

from pathlib import Path

import pytest

from mlops_assets.settings import Settings
from mlops_assets_tests.retraining.bath import copied, made


@pytest.fixture(scope="session")
def bath(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return made(tmp_path_factory.mktemp("bath"))


@pytest.fixture
def settings(bath: Settings, tmp_path: Path) -> Settings:
    """Three weeks of Bath, whose champion is version 1, trained up to the second."""
    return copied(bath, tmp_path / "copy")
