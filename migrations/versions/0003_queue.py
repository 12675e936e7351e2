"""The queue: PgQueuer's own tables under our names, and a trigger that counts attempts whose process died."""

from typing import Any

from alembic import op

revision = "0003"
down_revision = "0002"

COUNT_TAKEOVERS = """
    create function queue_count_takeover() returns trigger language plpgsql as
    $$ begin new.attempts := old.attempts + 1; return new; end $$;

    create trigger queue_count_takeover before update on queue_jobs for each row
    when (old.status = 'picked' and new.status = 'picked'
          and old.queue_manager_id is distinct from new.queue_manager_id)
    execute function queue_count_takeover();
"""


def upgrade() -> None:
    _run(_builder().build_install_query() + COUNT_TAKEOVERS)


def downgrade() -> None:
    _run(_builder().build_uninstall_query() + "drop function queue_count_takeover();")


def _builder() -> Any:
    # Loaded where it is used, like Alembic itself: whoever only looks for the newest revision needs neither.
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
    from pgqueuer.domain.settings import DBSettings, Durability

    return QueryBuilderEnvironment(
        DBSettings(
            prefix="queue_",
            db_schema=None,
            channel="toolbox_queue",
            function="queue_notify",
            trigger="queue_notify",
            statistics_table="queue_statistics",
            queue_status_type="queue_status",
            queue_table="queue_jobs",
            queue_table_log="queue_log",
            schedules_table="queue_schedules",
            durability=Durability.durable,
        )
    )


def _run(script: str) -> None:
    """PgQueuer gives many statements as one text, which the driver takes only without SQLAlchemy around it."""
    op.get_bind().connection.dbapi_connection.run_async(lambda driver: driver.execute(script))
