"""How a tool that no plugin offers is run: its implementation, and that of each of its versions."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for table in ("tools", "tool_versions"):
        op.add_column(table, sa.Column("implementation", sa.JSON))


def downgrade() -> None:
    for table in ("tools", "tool_versions"):
        op.drop_column(table, "implementation")
