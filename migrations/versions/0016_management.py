"""What operators decide about tools: switched off, pinned, held back until approved; and what lint has found."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

FLAGS = {"is_offered": "true", "is_switched_off": "false", "is_held": "false", "is_pinned": "false"}


def upgrade() -> None:
    for name, default in FLAGS.items():
        op.add_column("tools", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text(default)))
    op.execute("update tools set is_offered = active")
    op.create_index("ix_tools_kept_out", "tools", ["name"], postgresql_where=sa.text("is_switched_off or is_held"))
    op.add_column("tool_versions", sa.Column("review", sa.Text))
    op.create_index(
        "ix_tool_versions_review", "tool_versions", ["tool_id"], postgresql_where=sa.text("review is not null")
    )
    op.create_table(
        "source_policies",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("on_change", sa.Text, nullable=False),
    )
    op.create_table(
        "tool_findings",
        sa.Column("tool_id", sa.Integer, sa.ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("lint_version", sa.SmallInteger, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("is_flagged", sa.Boolean, nullable=False),
    )
    op.create_index("ix_tool_findings_flagged", "tool_findings", ["tool_id"], postgresql_where=sa.text("is_flagged"))


def downgrade() -> None:
    op.drop_table("tool_findings")
    op.drop_table("source_policies")
    op.drop_index("ix_tool_versions_review")
    op.drop_column("tool_versions", "review")
    op.drop_index("ix_tools_kept_out")
    for name in FLAGS:
        op.drop_column("tools", name)
