"""What the tests of training share."""

import pytest

from mlops_assets.training.tracking import MlflowTracker


@pytest.fixture(scope="session")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> MlflowTracker:
    """A fresh SQLite store. Making one takes over a second, so tests share it and use one product each."""
    return MlflowTracker(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'new' / 'mlflow.db'}")
