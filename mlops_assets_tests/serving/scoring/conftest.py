"""A trained product that declares a table to score; nothing of the table is scored yet."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.catalogue import read_catalogue
from mlops_assets.settings import environment, load_settings
from mlops_assets_tests.serving.scoring.batch import foreground_of
from mlops_assets_tests.tiny import NAME, Tiny, declare


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `tiny` with a champion that learned from its third day."""
    folder = tmp_path_factory.mktemp("trained")
    tiny = declare(load_settings(home=folder / "home"), folder)
    declaration = folder / "defs" / NAME / "defs.yaml"
    declaration.write_text(declaration.read_text() + "  scores: {path: table.csv}\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(tiny.settings).items():
            patch.setenv(name, value)  # which a run in the foreground writes for good, and beyond this module
        loop = foreground_of(tiny)
        for day in (1, 2, 3):
            assert loop.run("tiny_data", f"all|2024-01-0{day}").success
        assert loop.run("tiny_retrain", "all|2024-01-03").success
    return folder


@pytest.fixture
def tiny(trained_once: Path, tmp_path: Path) -> Tiny:
    """`tiny` with a champion, in a home of the test's own."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    own = load_settings(home=tmp_path / "home")
    settings = replace(own, root=tmp_path, defs=tmp_path / "defs")
    return Tiny(settings=settings, product=read_catalogue(settings.defs).product(NAME))
