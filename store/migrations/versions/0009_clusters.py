"""Clusters that are reached over a network, and attempts that are one object there."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("cluster") as batch:
        batch.add_column(sa.Column("access", sa.LargeBinary(), nullable=True))
        batch.add_column(sa.Column("config", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("found", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("uid", sa.String(), nullable=True))
        batch.create_unique_constraint("uq_cluster_uid", ["uid"])
    op.add_column("attempt", sa.Column("bundle", sa.String(), nullable=True))
    op.create_index(
        "ix_attempt_bundle", "attempt", ["bundle"],
        sqlite_where=sa.text("bundle IS NOT NULL"), postgresql_where=sa.text("bundle IS NOT NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_attempt_bundle", table_name="attempt")
    op.drop_column("attempt", "bundle")
    with op.batch_alter_table("cluster") as batch:
        batch.drop_constraint("uq_cluster_uid", type_="unique")
        batch.drop_column("uid")
        batch.drop_column("found")
        batch.drop_column("config")
        batch.drop_column("access")
