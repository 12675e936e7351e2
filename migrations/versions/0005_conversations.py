"""What replicas share of conversations with clients: a secret, answers that another replica waits for, streams."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "shared_secrets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "client_answers",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        prefixes=["unlogged"],  # an answer that a crash loses is one whose request is lost too
    )
    op.create_table(
        "stream_events",
        sa.Column("stream", sa.Uuid, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("message", sa.LargeBinary, nullable=False),
        sa.Column("is_last", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now(), index=True),
        prefixes=["unlogged"],
    )


def downgrade() -> None:
    op.drop_table("stream_events")
    op.drop_table("client_answers")
    op.drop_table("shared_secrets")
