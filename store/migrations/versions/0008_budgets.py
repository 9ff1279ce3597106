"""Money in currencies: prices of an SU, conditions of grants, and notices about budgets."""

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
