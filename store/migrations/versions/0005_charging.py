"""Charging rules, closed periods, refunds and extensions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    # What an attempt is charged by, and what became of it afterwards.
    op.add_column("attempt", sa.Column("factor", sa.BigInteger(), server_default="1000", nullable=False))
    op.add_column("attempt", sa.Column("later_rates", sa.Text(), nullable=True))
    for name in ("refunded", "adjusted", "extensions", "carried_su", "carried_ms"):
        op.add_column("attempt", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("attempt", sa.Column("walltime_ms", sa.BigInteger(), nullable=True))
    op.add_column("attempt", sa.Column("enforced_ms", sa.BigInteger(), nullable=True))
    extended = sa.text("walltime_ms IS NOT NULL")
    op.create_index("ix_attempt_extended", "attempt", ["id"], sqlite_where=extended, postgresql_where=extended)

    # Who made a rate, and when.
    with op.batch_alter_table("rate") as batch_op:
        batch_op.add_column(sa.Column("user_id", number, nullable=True))
        batch_op.add_column(sa.Column("created_ms", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.create_foreign_key(op.f("fk_rate_user_id"), "user", ["user_id"], ["id"])

    op.create_table(
        "charging_rules",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("user_id", number, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_charging_rules_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charging_rules")),
    )
    op.create_index(op.f("ix_charging_rules_from_ms"), "charging_rules", ["from_ms"])
    op.create_table(
        "closed_period",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("user_id", number, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_closed_period_user_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_closed_period")),
    )
    op.create_table(
        "correction",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("transaction", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("attempt_id", number, nullable=False),
        sa.Column("micro_su", sa.BigInteger(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("micro_su_per_hour", sa.BigInteger(), nullable=True),
        sa.Column("user_id", number, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_correction_attempt_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_correction_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correction")),
        sa.UniqueConstraint("transaction", name=op.f("uq_correction_transaction")),
    )
    op.create_index(op.f("ix_correction_attempt_id"), "correction", ["attempt_id"])


def downgrade() -> None:
    raise NotImplementedError("the way back is a backup")
