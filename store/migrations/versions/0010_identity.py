"""Identity: states and kinds of users, dated roles, narrow tokens, logins, approvals, and what privacy needs."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spent",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_spent")),
    )
    with op.batch_alter_table("spent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_spent_expires_ms"), ["expires_ms"], unique=False)

    op.create_table(
        "sweep",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
    )
    op.create_table(
        "acting",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("for_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["for_id"], ["user.id"], name=op.f("fk_acting_for_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_acting_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acting")),
    )
    with op.batch_alter_table("acting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_acting_for_id"), ["for_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_acting_user_id"), ["user_id"], unique=False)

    op.create_table(
        "approval",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("decided_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["asked_by"], ["user.id"], name=op.f("fk_approval_asked_by")),
        sa.ForeignKeyConstraint(["decided_by"], ["user.id"], name=op.f("fk_approval_decided_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    with op.batch_alter_table("approval", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approval_asked_by"), ["asked_by"], unique=False)
        batch_op.create_index(batch_op.f("ix_approval_state"), ["state"], unique=False)

    op.create_table(
        "audit_person",
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["audit_entry.id"], name=op.f("fk_audit_person_entry_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_audit_person_user_id")),
        sa.PrimaryKeyConstraint("entry_id", "user_id", "part", name=op.f("pk_audit_person")),
    )
    with op.batch_alter_table("audit_person", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_person_user_id"), ["user_id"], unique=False)

    op.create_table(
        "device_login",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_code", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("polled_ms", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("login_ms", sa.BigInteger(), nullable=True),
        sa.Column("level", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_device_login_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_login")),
        sa.UniqueConstraint("digest", name=op.f("uq_device_login_digest")),
        sa.UniqueConstraint("user_code", name=op.f("uq_device_login_user_code")),
    )
    with op.batch_alter_table("device_login", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_device_login_expires_ms"), ["expires_ms"], unique=False)

    op.create_table(
        "four_eyes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_four_eyes_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_four_eyes")),
    )
    op.create_table(
        "funder_officer",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("funder_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["funder_id"], ["funder.id"], name=op.f("fk_funder_officer_funder_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_funder_officer_user_id")),
        sa.PrimaryKeyConstraint("user_id", "funder_id", name=op.f("pk_funder_officer")),
    )
    with op.batch_alter_table("funder_officer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_funder_officer_funder_id"), ["funder_id"], unique=False)

    op.create_table(
        "identity",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_identity_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_identity_issuer_subject")),
    )
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identity_user_id"), ["user_id"], unique=False)

    op.create_table(
        "legal_hold",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("lifted_ms", sa.BigInteger(), nullable=True),
        sa.Column("lifted_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_legal_hold_account_id")),
        sa.ForeignKeyConstraint(["by_id"], ["user.id"], name=op.f("fk_legal_hold_by_id")),
        sa.ForeignKeyConstraint(["lifted_by"], ["user.id"], name=op.f("fk_legal_hold_lifted_by")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_legal_hold_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_hold")),
    )
    with op.batch_alter_table("legal_hold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legal_hold_user_id"), ["user_id"], unique=False)

    op.create_table(
        "password",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("locked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_password_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_password")),
    )
    op.create_table(
        "past_role",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_past_role_account_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_past_role_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_past_role")),
    )
    with op.batch_alter_table("past_role", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_past_role_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_past_role_user_id"), ["user_id"], unique=False)

    op.create_table(
        "person_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["by_id"], ["user.id"], name=op.f("fk_person_change_by_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_person_change_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_change")),
    )
    with op.batch_alter_table("person_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_change_changed_ms"), ["changed_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_change_user_id"), ["user_id"], unique=False)

    op.create_table(
        "login_session",
        sa.Column("token_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("sid", sa.String(), nullable=True),
        sa.Column("id_token", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_login_session_token_id")),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_login_session")),
    )
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.create_index("ix_login_session_sid", ["issuer", "sid"], unique=False)
        batch_op.create_index("ix_login_session_subject", ["issuer", "subject"], unique=False)

    op.add_column("role", sa.Column("from_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("role", sa.Column("until_ms", sa.BigInteger(), nullable=True))

    op.add_column("token", sa.Column("kind", sa.String(), server_default="personal", nullable=False))
    op.add_column("token", sa.Column("scopes", sa.Text(), nullable=True))
    _refer("token", "account_id", "account")
    op.add_column("token", sa.Column("idle_ms", sa.BigInteger(), nullable=True))
    op.add_column("token", sa.Column("login_ms", sa.BigInteger(), nullable=True))
    op.add_column("token", sa.Column("level", sa.BigInteger(), server_default="0", nullable=False))

    op.add_column("user", sa.Column("kind", sa.String(), server_default="person", nullable=False))
    op.add_column("user", sa.Column("state", sa.String(), server_default="active", nullable=False))
    _refer("user", "tenant_id", "account")
    _refer("user", "owner_id", "user")
    op.add_column("user", sa.Column("affiliation", sa.String(), nullable=True))
    op.add_column("user", sa.Column("assurance", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("user", sa.Column("created_ms", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("user", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.create_index("ix_user_owner_id", "user", ["owner_id"])
    op.create_index("ix_user_tenant_id", "user", ["tenant_id"])


def _refer(table: str, column: str, to: str) -> None:
    """Add a column that points at a row. SQLite rebuilds no table that others point at, and takes it in one clause."""
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    name = f"fk_{table}_{column}"
    op.execute(f'ALTER TABLE "{table}" ADD COLUMN {column} {kind} CONSTRAINT {name} REFERENCES "{to}" (id)')


def downgrade() -> None:
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_user_tenant_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_user_owner_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_user_tenant_id"))
        batch_op.drop_index(batch_op.f("ix_user_owner_id"))
        batch_op.drop_column("version")
        batch_op.drop_column("created_ms")
        batch_op.drop_column("assurance")
        batch_op.drop_column("affiliation")
        batch_op.drop_column("owner_id")
        batch_op.drop_column("tenant_id")
        batch_op.drop_column("state")
        batch_op.drop_column("kind")

    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_token_account_id"), type_="foreignkey")
        batch_op.drop_column("level")
        batch_op.drop_column("login_ms")
        batch_op.drop_column("idle_ms")
        batch_op.drop_column("account_id")
        batch_op.drop_column("scopes")
        batch_op.drop_column("kind")

    with op.batch_alter_table("role", schema=None) as batch_op:
        batch_op.drop_column("until_ms")
        batch_op.drop_column("from_ms")

    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.drop_index("ix_login_session_subject")
        batch_op.drop_index("ix_login_session_sid")

    op.drop_table("login_session")
    with op.batch_alter_table("person_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_person_change_user_id"))
        batch_op.drop_index(batch_op.f("ix_person_change_changed_ms"))

    op.drop_table("person_change")
    with op.batch_alter_table("past_role", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_past_role_user_id"))
        batch_op.drop_index(batch_op.f("ix_past_role_account_id"))

    op.drop_table("past_role")
    op.drop_table("password")
    with op.batch_alter_table("legal_hold", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_legal_hold_user_id"))

    op.drop_table("legal_hold")
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_identity_user_id"))

    op.drop_table("identity")
    with op.batch_alter_table("funder_officer", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_funder_officer_funder_id"))

    op.drop_table("funder_officer")
    op.drop_table("four_eyes")
    with op.batch_alter_table("device_login", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_device_login_expires_ms"))

    op.drop_table("device_login")
    with op.batch_alter_table("audit_person", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_person_user_id"))

    op.drop_table("audit_person")
    with op.batch_alter_table("approval", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_approval_state"))
        batch_op.drop_index(batch_op.f("ix_approval_asked_by"))

    op.drop_table("approval")
    with op.batch_alter_table("acting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_acting_user_id"))
        batch_op.drop_index(batch_op.f("ix_acting_for_id"))

    op.drop_table("acting")
    op.drop_table("sweep")
    with op.batch_alter_table("spent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_spent_expires_ms"))

    op.drop_table("spent")
