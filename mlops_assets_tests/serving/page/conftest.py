"""The shop and its endpoint, made once for all tests of the page."""

from collections.abc import Iterator

import pytest

from mlops_assets_tests.serving.loans import Running
from mlops_assets_tests.serving.page.shop import Shop, shop


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Running]]:
    """A deployment and its endpoint, which nobody needs a key for."""
    found = shop(tmp_path_factory.mktemp("shop"))
    with found.endpoint() as endpoint:
        yield found, endpoint
