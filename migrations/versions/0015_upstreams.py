"""Upstreams: MCP servers whose tools are offered, and the last that is known of them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "upstreams",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("server", sa.JSON),
        sa.Column("offers", sa.JSON),
        sa.Column("left_out", sa.JSON),
        sa.Column("pending", sa.JSON),
        sa.Column("tools", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("problem", sa.Text),
        sa.Column("read_for", sa.LargeBinary),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    op.drop_table("upstreams")
