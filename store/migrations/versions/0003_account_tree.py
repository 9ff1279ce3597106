"""Groups, limits and gates of the account tree."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_GATED = sa.text("closed_gates IS NOT NULL AND ended_ms IS NULL")


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    # A quota may be of all flavors together, which is no flavor.
    with op.batch_alter_table("quota") as batch_op:
        batch_op.drop_constraint("fk_quota_flavor", type_="foreignkey")

    with op.batch_alter_table("account") as batch_op:
        batch_op.add_column(sa.Column("submissions_per_minute", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("user_submissions_per_minute", sa.BigInteger(), nullable=True))

    op.add_column("job", sa.Column("closed_gates", sa.String(), nullable=True))
    op.create_index("ix_job_gated", "job", ["project_id"], sqlite_where=_GATED, postgresql_where=_GATED)
    op.create_index("ix_job_submitted", "job", ["project_id", "submitted_ms"])

    op.create_table(
        "gate_rule",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("gate", sa.String(), nullable=False),
        sa.Column("account_id", number, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("ask", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("user_id", number, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_gate_rule_account_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_gate_rule_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_rule")),
    )
    op.create_table(
        "terms",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("user_id", number, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_terms_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terms")),
        sa.UniqueConstraint("version", name=op.f("uq_terms_version")),
    )
    op.create_table(
        "terms_acceptance",
        sa.Column("user_id", number, nullable=False),
        sa.Column("terms_id", number, nullable=False),
        sa.Column("accepted_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["terms_id"], ["terms.id"], name=op.f("fk_terms_acceptance_terms_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_terms_acceptance_user_id")),
        sa.PrimaryKeyConstraint("user_id", "terms_id", name=op.f("pk_terms_acceptance")),
    )


def downgrade() -> None:
    raise NotImplementedError("the way back is a backup")
