"""What was brought along from another centre."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _number() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "import_batch",
        sa.Column("id", _number(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("user_id", _number(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_import_batch_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_batch")),
    )
    op.create_table(
        "imported_thing",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("batch_id", _number(), nullable=False),
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["import_batch.id"], name=op.f("fk_imported_thing_batch_id")),
        sa.PrimaryKeyConstraint("origin", "kind", "key", name=op.f("pk_imported_thing")),
    )
    numbers = [
        sa.Column(name, sa.BigInteger(), nullable=name == "walltime_ms")
        for name in (
            "milli", "nodes", "cpus", "memory_bytes", "submitted_ms", "ended_ms", "elapsed_ms", "walltime_ms", "gpu_ms",
            "cpu_ms", "memory_mib_ms", "micro_su",
        )
    ]
    op.create_table(
        "imported_run",
        sa.Column("id", _number(), autoincrement=True, nullable=False),
        sa.Column("batch_id", _number(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("gres", sa.String(), nullable=False),
        sa.Column("project_id", _number(), nullable=False),
        sa.Column("user_id", _number(), nullable=False),
        sa.Column("allocation_id", _number(), nullable=False),
        sa.Column("flavor", sa.String(), nullable=False),
        sa.Column("qos", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        *numbers,
        sa.Column("posting", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["import_batch.id"], name=op.f("fk_imported_run_batch_id")),
        sa.ForeignKeyConstraint(["project_id"], ["account.id"], name=op.f("fk_imported_run_project_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_imported_run_user_id")),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.id"], name=op.f("fk_imported_run_allocation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imported_run")),
        sa.UniqueConstraint("origin", "job", "started_ms", "gres", name=op.f("uq_imported_run_origin_job_started_ms_gres")),
        sa.UniqueConstraint("posting", name=op.f("uq_imported_run_posting")),
    )
    op.create_index(op.f("ix_imported_run_ended_ms"), "imported_run", ["ended_ms"])
