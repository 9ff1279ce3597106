"""Money in currencies: prices of an SU, conditions of grants, and notices about budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MAY_OWE = "balance >= 0 OR kind IN ('capacity', 'exchange', 'funder')"


def upgrade() -> None:
    # Grants in SU or in money, with conditions and a state.
    op.alter_column("funder_grant", "micro_su", new_column_name="amount")
    op.add_column("funder_grant", sa.Column("unit", sa.String(), server_default="uSU", nullable=False))
    op.add_column("funder_grant", sa.Column("conditions", sa.JSON(), nullable=True))
    op.add_column("funder_grant", sa.Column("state", sa.String(), server_default="active", nullable=False))
    op.add_column("funder_grant", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    _let_exchange_owe()
    op.create_index("ix_book_grant", "book", ["grant_id", "kind"])
    op.create_table(
        "price",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("tenant_kind", sa.String(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_price_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price")),
        sa.UniqueConstraint("currency", "tenant_kind", "from_ms", name=op.f("uq_price_currency_tenant_kind_from_ms")),
    )
    op.create_table(
        "bargain",
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("grant_id", _ID, nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("money", sa.BigInteger(), nullable=False),
        sa.Column("micro_su", sa.BigInteger(), nullable=False),
        sa.Column("out_su", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=op.f("fk_bargain_allocation_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["funder_grant.id"], name=op.f("fk_bargain_grant_id")),
        sa.PrimaryKeyConstraint("allocation_id", "grant_id", name=op.f("pk_bargain")),
    )
    _notices()
    op.create_table(
        "reclaim_rule",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=True),
        sa.Column("used_below", sa.BigInteger(), nullable=True),
        sa.Column("notice_ms", sa.BigInteger(), nullable=True),
        sa.Column("keep", sa.BigInteger(), nullable=True),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_reclaim_rule_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reclaim_rule")),
    )
    op.create_index(op.f("ix_reclaim_rule_from_ms"), "reclaim_rule", ["from_ms"])


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=op.f("fk_notice_allocation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("allocation_id", "kind", "about", name=op.f("uq_notice_allocation_id_kind_about")),
    )
    op.create_index(op.f("ix_notice_at_ms"), "notice", ["at_ms"])
    op.create_table(
        "notice_reading",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("notice_id", _ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], name=op.f("fk_notice_reading_notice_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_notice_reading_user_id")),
        sa.PrimaryKeyConstraint("user_id", "notice_id", name=op.f("pk_notice_reading")),
    )
    op.create_index(op.f("ix_notice_reading_notice_id"), "notice_reading", ["notice_id"])
    op.create_table(
        "pace",
        sa.Column("allocation_id", _ID, nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("consumed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=op.f("fk_pace_allocation_id")),
        sa.PrimaryKeyConstraint("allocation_id", "day", name=op.f("pk_pace")),
    )
    # How fast it was consumed so far is not known: as if it had been at once, in the beginning.
    op.execute(
        "INSERT INTO pace (allocation_id, day, consumed) SELECT allocation_id, 0, SUM(balance) FROM book"
        " WHERE kind = 'consumed' AND unit = 'uSU' GROUP BY allocation_id"
    )


def _let_exchange_owe() -> None:
    """Books of the new kind may go below zero.

    SQLite cannot change a check. Entries refer to books, so the table cannot be renamed away either: its rows step
    aside, and are back before the transaction ends.
    """
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_book_no_overdraft"), "book", type_="check")
        op.create_check_constraint(op.f("ck_book_no_overdraft"), "book", _MAY_OWE)
        return
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE aside AS SELECT * FROM book")
    op.drop_index("ix_book_allocation", "book")
    op.drop_table("book")
    op.create_table(
        "book",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("funder_id", sa.BigInteger(), nullable=False),
        sa.Column("grant_id", sa.BigInteger(), nullable=False),
        sa.Column("allocation_id", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(_MAY_OWE, name=op.f("ck_book_no_overdraft")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_book")),
        sa.UniqueConstraint("key", name=op.f("uq_book_key")),
    )
    op.create_index("ix_book_allocation", "book", ["allocation_id", "kind"])
    columns = "id, key, kind, unit, funder_id, grant_id, allocation_id, balance"
    op.execute(f"INSERT INTO book ({columns}) SELECT {columns} FROM aside")  # noqa: S608 - the names above
    op.execute("DROP TABLE aside")


def downgrade() -> None:
    raise NotImplementedError("the way back is a backup")
