"""What toolsets limit; and tasks know through which toolset, and within which, they were called."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("toolsets", sa.Column("limits", sa.JSON))
    op.add_column("tasks", sa.Column("toolset", sa.Text))
    op.add_column("tasks", sa.Column("toolsets", sa.ARRAY(sa.Text)))


def downgrade() -> None:
    op.drop_column("tasks", "toolsets")
    op.drop_column("tasks", "toolset")
    op.drop_column("toolsets", "limits")
