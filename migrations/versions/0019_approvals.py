"""What an upstream may not change by itself waits among the versions of its tools, as with every other source."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("update upstreams set read_at = null where pending::text not in ('{}', 'null')")  # read anew, it waits


def downgrade() -> None:
    pass
