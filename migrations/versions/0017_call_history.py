"""Calls with their traces, read page by page for each caller; and statistics that are counted as calls are written."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("calls", sa.Column("trace_id", sa.Text))
    op.create_index("ix_calls_caller", "calls", ["caller", "started_at"])
    op.create_table(
        "call_statistics",
        sa.Column("tool_name", sa.Text, primary_key=True),
        sa.Column("success", sa.Boolean, primary_key=True),
        sa.Column("bucket", sa.SmallInteger, primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("last_called_at", sa.DateTime(timezone=True), nullable=False),
    )
    # Buckets as in toolbox/calls/statistics.py: each is 2 % wider than the one before.
    op.execute("""
        insert into call_statistics (tool_name, success, bucket, calls, last_called_at)
        select tool_name, success, floor(ln(greatest(duration_ms, 0.01) / 0.01) / ln(1.02)), count(*), max(started_at)
        from calls group by 1, 2, 3
    """)


def downgrade() -> None:
    op.drop_table("call_statistics")
    op.drop_index("ix_calls_caller")
    op.drop_column("calls", "trace_id")
