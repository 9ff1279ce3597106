"""How long data about people is kept, and who asked to be erased."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "retention_rule",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_retention_rule_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_retention_rule"),
    )
    op.create_table(
        "erasure_request",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_erasure_request_user_id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_erasure_request"),
    )


def downgrade() -> None:
    op.drop_table("erasure_request")
    op.drop_table("retention_rule")
