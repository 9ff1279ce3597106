"""What the planner needs beside the first schema: policies, reservations, dependencies, labels, memory of past runs."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What a job may ask for beyond resources.
    with op.batch_alter_table("job") as batch_op:
        batch_op.add_column(sa.Column("priority", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("gate", sa.Text(), nullable=True))
    with op.batch_alter_table("account") as batch_op:
        batch_op.add_column(sa.Column("user_running_jobs", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("user_queued_jobs", sa.BigInteger(), nullable=True))
    op.create_table(
        "dependency",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("on_job_id", sa.BigInteger(), nullable=False),
        sa.Column("on_index", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_dependency_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dependency")),
    )
    op.create_index(op.f("ix_dependency_on_job_id"), "dependency", ["on_job_id"])

    # What the planner keeps in step: what it must know of a spec, which jobs changed, who used what, and for how long.
    with op.batch_alter_table("job") as batch_op:
        batch_op.add_column(sa.Column("demand", sa.Text(), nullable=True))
    _fill_demand()
    op.create_table(
        "job_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_change")),
        sqlite_autoincrement=True,
    )
    op.add_column("attempt", sa.Column("window", sa.String(), nullable=True))
    op.add_column("attempt", sa.Column("told_ms", sa.BigInteger(), nullable=True))
    op.add_column("attempt", sa.Column("cause", sa.String(), nullable=True))
    op.add_column("attempt", sa.Column("made_way_for", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_attempt_fair_share",
        "attempt",
        ["told_ms"],
        sqlite_where=sa.text("cause = 'fair-share'"),
        postgresql_where=sa.text("cause = 'fair-share'"),
    )
    op.create_table(
        "user_share",
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("micro_su", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["account.id"], name=op.f("fk_user_share_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_user_share_user_id")),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_user_share")),
    )
    op.create_table(
        "guess",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("said_ms", sa.BigInteger(), nullable=False),
        sa.Column("wait_ms", sa.BigInteger(), nullable=False),
        sa.Column("waited_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_guess_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_guess")),
    )
    op.create_table(
        "recent_run",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("before_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_recent_run_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_recent_run")),
    )

    # The planner's policies, dated.
    op.create_table(
        "policy",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_policy_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy")),
    )
    op.create_index(op.f("ix_policy_from_ms"), "policy", ["from_ms"])

    # Labels of clusters and nodes, and nodes that take no more jobs.
    op.add_column("cluster", sa.Column("labels", sa.JSON(), nullable=True))
    op.add_column("node", sa.Column("labels", sa.JSON(), nullable=True))
    op.add_column("node", sa.Column("drained", sa.String(), nullable=True))

    # Reservations.
    op.create_table(
        "reservation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("starts_ms", sa.BigInteger(), nullable=False),
        sa.Column("length_ms", sa.BigInteger(), nullable=False),
        sa.Column("repeat", sa.String(), nullable=False),
        sa.Column("days", sa.JSON(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("offset_minutes", sa.BigInteger(), nullable=False),
        sa.Column("cluster", sa.String(), nullable=True),
        sa.Column("nodes", sa.JSON(), nullable=False),
        sa.Column("flavor", sa.String(), nullable=True),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_reservation_account_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_reservation_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        sa.UniqueConstraint("name", name=op.f("uq_reservation_name")),
        sqlite_autoincrement=True,
    )


def _fill_demand() -> None:
    """For jobs that are not over: the planner never looks at the others again."""
    known = ("qos", "resources", "array", "restartable", "grace_ms", "constraint")
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, spec FROM job WHERE ended_ms IS NULL")).all()
    told = [(row.id, json.loads(row.spec)) for row in rows]
    values = [
        {"id": id, "demand": json.dumps({key: spec[key] for key in known if key in spec}, separators=(",", ":"))}
        for id, spec in told
    ]
    if values:
        connection.execute(sa.text("UPDATE job SET demand = :demand WHERE id = :id"), values)


def downgrade() -> None:
    raise NotImplementedError("the way back is a backup")
