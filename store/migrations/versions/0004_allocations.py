"""Allocations with decisions, shares and instalments."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("allocation", sa.Column("asked", sa.BigInteger(), nullable=True))
    op.add_column("allocation", sa.Column("purpose", sa.String(), nullable=True))
    op.add_column("allocation", sa.Column("requested_by", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_allocation_state"), "allocation", ["state"])
    with op.batch_alter_table("allocation_source") as batch:
        batch.add_column(sa.Column("returned", sa.BigInteger(), server_default="0", nullable=False))
    with op.batch_alter_table("allocation_source") as batch:
        batch.alter_column("returned", server_default=None)
    op.create_table(
        "allocation_share",
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("grant_id", _ID, nullable=False),
        sa.Column("share", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=op.f("fk_allocation_share_allocation_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["funder_grant.id"], name=op.f("fk_allocation_share_grant_id")),
        sa.PrimaryKeyConstraint("allocation_id", "from_ms", "grant_id", name=op.f("pk_allocation_share")),
    )
    op.create_table(
        "allocation_instalment",
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("micro_su", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("released_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["allocation_id"], ["allocation.id"], name=op.f("fk_allocation_instalment_allocation_id")
        ),
        sa.PrimaryKeyConstraint("allocation_id", "number", name=op.f("pk_allocation_instalment")),
    )
    op.create_table(
        "allocation_change",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("requested_by", _ID, nullable=False),
        sa.Column("requested_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("decided_by", _ID, nullable=True),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=op.f("fk_allocation_change_allocation_id")),
        sa.ForeignKeyConstraint(["requested_by"], ["user.id"], name=op.f("fk_allocation_change_requested_by")),
        sa.ForeignKeyConstraint(["decided_by"], ["user.id"], name=op.f("fk_allocation_change_decided_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocation_change")),
    )
    op.create_index(op.f("ix_allocation_change_allocation_id"), "allocation_change", ["allocation_id"])
    op.create_index(op.f("ix_allocation_change_state"), "allocation_change", ["state"])
    op.create_table(
        "allocation_decision",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("user_id", _ID, nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["allocation_id"], ["allocation.id"], name=op.f("fk_allocation_decision_allocation_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_allocation_decision_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocation_decision")),
    )
    op.create_index(op.f("ix_allocation_decision_allocation_id"), "allocation_decision", ["allocation_id"])
