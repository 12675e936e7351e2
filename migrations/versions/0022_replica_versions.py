"""Replicas say which version of each source they have, so that going back to an earlier one counts when all have."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("replicas", sa.Column("source_versions", sa.JSON))


def downgrade() -> None:
    op.drop_column("replicas", "source_versions")
