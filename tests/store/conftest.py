"""What tests of the store begin with."""

from collections.abc import Iterator

import pytest

from lifecycle.ports import UnitOfWork
from tests.support.centre import Centre


@pytest.fixture
def uow(centre: Centre) -> Iterator[UnitOfWork]:
    """A writing transaction on the small centre."""
    with centre.store.write() as unit:
        yield unit
