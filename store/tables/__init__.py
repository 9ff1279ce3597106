"""The tables, by subject. Money is micro-SU, GPU amounts thousandths, times ms since the epoch, all integers.

What the database can hold as a constraint, it does: one live attempt a task, no device given twice, no book below zero.
"""

from store.tables import (
    accounts,
    allocations,
    audit,
    budgets,
    calendar,
    charging,
    dependencies,
    fleet,
    gates,
    imports,
    jobs,
    ledger,
    people,
    policies,
    privacy,
    registrations,
    service,
)
from store.tables.base import Base

__all__ = [
    "Base",
    "accounts",
    "allocations",
    "audit",
    "budgets",
    "calendar",
    "charging",
    "dependencies",
    "fleet",
    "gates",
    "imports",
    "jobs",
    "ledger",
    "people",
    "policies",
    "privacy",
    "registrations",
    "service",
]
