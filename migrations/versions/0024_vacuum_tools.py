"""Searches read from an index which tools are hidden; that is quick where their pages have been vacuumed.

By default that waits until a fifth of all tools has changed: with 10,000 of 100,000 newly hidden, each search took
10 ms longer.
"""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute("alter table tools set (autovacuum_vacuum_scale_factor = 0.02)")


def downgrade() -> None:
    op.execute("alter table tools reset (autovacuum_vacuum_scale_factor)")
