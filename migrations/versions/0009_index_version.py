"""Which version of the index a tool was indexed by, so that a newer one can index it anew."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("tools", sa.Column("index_version", sa.SmallInteger, nullable=False, server_default=sa.text("0")))
    op.create_index("ix_tools_index_version", "tools", ["index_version", "id"])


def downgrade() -> None:
    op.drop_index("ix_tools_index_version")
    op.drop_column("tools", "index_version")
