"""Search counts the tools that are hidden, to leave them out in time."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_index("ix_tools_hidden", "tools", ["id"], postgresql_where=sa.text("not active"))


def downgrade() -> None:
    op.drop_index("ix_tools_hidden", "tools")
