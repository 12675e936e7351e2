"""The calls of all tools together are counted as well, instead of being added up by whoever asks.

What a replica of the earlier version counts while it still runs beside newer ones is in its tools' statistics alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "call_totals",
        sa.Column("slot", sa.SmallInteger, primary_key=True),
        sa.Column("success", sa.Boolean, primary_key=True),
        sa.Column("bucket", sa.SmallInteger, primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("last_called_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute("""
        insert into call_totals (slot, success, bucket, calls, last_called_at)
        select 0, success, bucket, sum(calls), max(last_called_at) from call_statistics group by success, bucket
    """)


def downgrade() -> None:
    op.drop_table("call_totals")
