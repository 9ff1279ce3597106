"""Decisions and dated rules of before are written down in the audit trail, as those to come are when they are made."""

import time

import sqlalchemy as sa
from alembic import op

from domain.canonical import canonical
from store.kept import subject, told

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = (
    "allocation_decision", "correction", "closed_period", "rate", "price", "charging_rules", "policy", "four_eyes",
    "gate_rule", "reclaim_rule", "terms", "retention_rule",
)  # fmt: skip


def upgrade() -> None:
    connection, metadata, now_ms = op.get_bind(), sa.MetaData(), time.time_ns() // 1_000_000
    entry, outbox = (sa.Table(name, metadata, autoload_with=connection) for name in ("audit_entry", "unsealed"))
    for name in TABLES:
        table = sa.Table(name, metadata, autoload_with=connection)
        for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings().all():
            values = {
                "at_ms": now_ms, "action": "row_written", "subject": subject(table, row),
                "facts": canonical({"row": told(row)}).decode(),
            }  # fmt: skip
            made = connection.execute(sa.insert(entry).values(values).returning(entry.c.id)).scalar_one()
            connection.execute(sa.insert(outbox).values(kind="audit", row_id=made))


def downgrade() -> None:
    """What is written down stays: nothing is taken out of the audit trail."""
