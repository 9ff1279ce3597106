"""What registries said of tenants, and the rights of X-Road clients."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "registration",
        sa.Column("tenant_id", _ID, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("fetched_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["account.id"], name="fk_registration_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_registration"),
        sa.UniqueConstraint("source", "number", name="uq_registration_source_number"),
    )
    op.create_table(
        "xroad_right",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("tenant_id", _ID, nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["account.id"], name="fk_xroad_right_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_xroad_right"),
        sa.UniqueConstraint("client", "service", "tenant_id", name="uq_xroad_right_client_service_tenant_id"),
    )
    op.create_index(
        "uq_xroad_right_all", "xroad_right", ["client", "service"], unique=True,
        sqlite_where=sa.text("tenant_id IS NULL"), postgresql_where=sa.text("tenant_id IS NULL"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("xroad_right")
    op.drop_table("registration")
