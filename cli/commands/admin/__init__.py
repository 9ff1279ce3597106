"""Manage a centre: a group of groups, each imported when it runs."""

import click

from cli.catalogue import ADMIN
from cli.lazy import LazyGroup


@click.group("admin", cls=LazyGroup, sections=ADMIN)
def admin() -> None:
    """Manage tenants, projects, users, clusters and budgets."""
