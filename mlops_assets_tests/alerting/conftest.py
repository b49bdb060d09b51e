from collections.abc import Iterator

import pytest

from mlops_assets_tests.alerting.fakes import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook's end on this machine."""
    found = Receiver()
    yield found
    found.close()
