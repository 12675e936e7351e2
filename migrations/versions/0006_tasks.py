"""Tasks: calls that a client follows while a worker runs them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

STATUSES = "('working', 'input_required', 'completed', 'failed', 'cancelled')"


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tool_name", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        # All JSON is kept as it was written: the order of fields in a form or a result means something to people.
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("timeout_seconds", sa.Double),
        sa.Column("max_tokens", sa.Integer),
        sa.Column("asks_before_destructive", sa.Boolean, nullable=False),
        sa.Column("capabilities", sa.JSON, nullable=False),
        sa.Column("answers", sa.JSON, nullable=False),
        sa.Column("questions", sa.JSON, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="working"),
        sa.CheckConstraint(f"status in {STATUSES}", name="status"),
        sa.Column("message", sa.Text),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("execution_id", sa.Uuid, nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.Column("is_running", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_tasks_expires_at", "tasks", ["expires_at"])
    op.execute("""
        create function tell_of_task() returns trigger language plpgsql as
        $$ begin perform pg_notify('toolbox_tasks', new.id); return null; end $$
    """)
    op.execute("""
        create trigger tell_of_task after insert or update of status, message, questions on tasks
        for each row execute function tell_of_task()
    """)


def downgrade() -> None:
    op.drop_table("tasks")
    op.execute("drop function tell_of_task()")
