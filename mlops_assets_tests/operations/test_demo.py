"""The demo starts from an empty home, and empties no other than its own."""

import pytest

from mlops_assets.operations.demo import demo
from mlops_assets.settings import Settings


def test_the_demo_deletes_nothing_that_is_not_of_an_earlier_demo(settings: Settings):
    (settings.home / "records").mkdir(parents=True)

    with pytest.raises(FileExistsError, match="holds records, which is not of an earlier demo; choose another --home"):
        demo(settings)

    assert (settings.home / "records").exists()
