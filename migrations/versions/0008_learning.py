"""Searches, what was used after them, and what the likeness of two queries is worth."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "searches",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("shown", ARRAY(sa.Integer), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("ix_searches_caller", "searches", ["caller", "created_at"])
    op.create_index("ix_searches_created_at", "searches", ["created_at"])
    op.create_table(
        "uses",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tool_id", sa.Integer, sa.ForeignKey("tools.id", ondelete="CASCADE"), nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("uq_uses", "uses", ["tool_id", "caller", sa.text("md5(query)")], unique=True)
    op.create_index("ix_uses_created_at", "uses", ["created_at"])
    op.create_table(
        "use_embeddings",
        sa.Column("use_id", sa.BigInteger, sa.ForeignKey("uses.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("model_id", sa.SmallInteger, sa.ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("embedding", HALFVEC(), nullable=False),
    )
    for name in ("query_mean", "query_deviation"):
        op.add_column("models", sa.Column(name, sa.Double))
    op.execute("update models set calibrated_tools = null")  # so that the new columns are measured at the next start


def downgrade() -> None:
    for name in ("query_mean", "query_deviation"):
        op.drop_column("models", name)
    for name in ("use_embeddings", "uses", "searches"):
        op.drop_table(name)
