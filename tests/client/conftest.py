from collections.abc import Iterator

import pytest

from client import Baray
from tests.client.scripted import TOKEN, Centre


@pytest.fixture
def centre() -> Iterator[Centre]:
    scripted = Centre()
    scripted.start()
    yield scripted
    scripted.stop()
    assert scripted.complaints == []


@pytest.fixture
def baray(centre: Centre) -> Iterator[Baray]:
    with Baray(centre.address, TOKEN, retries=2, backoff_s=0.01, timeout_s=5) as client:
        yield client
