"""Marks that several tests share."""

import pytest

from tests.support.databases import POSTGRESQL, SQLITE

on_sqlite = pytest.mark.parametrize("database", [SQLITE], indirect=True)
on_postgresql = pytest.mark.parametrize("database", [POSTGRESQL], indirect=True)
the_one_on_sqlite = pytest.mark.parametrize("the_centre", [SQLITE], indirect=True)
