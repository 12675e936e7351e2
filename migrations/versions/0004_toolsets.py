"""Toolsets, and which tools are in them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

COMPARED = "name, category, tags, source, active, fingerprint"
"""What a toolset knows of a tool; a change of anything else concerns none."""


def select_matches(tools: str) -> str:
    """Who of these tools is in which toolset: a rule speaks of a tool when each part that it gives holds."""
    return f"""
        select r.toolset_id, t.id as tool_id, t.name
        from {tools} t join toolset_rules r
            on (r.name_pattern is null or t.name like r.name_pattern)
            and (r.category_pattern is null or t.category like r.category_pattern)
            and (r.source_pattern is null or t.source like r.source_pattern)
            and t.tags @> r.tags
        where t.active group by r.toolset_id, t.id, t.name having bool_and(not r.excludes)
    """


def upgrade() -> None:
    op.create_table(
        "toolsets",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("title", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("is_direct", sa.Boolean, nullable=False),
        sa.Column("asks_before_destructive", sa.Boolean, nullable=False),
        sa.Column("max_tokens", sa.Integer),
        sa.Column("rules", postgresql.JSONB, nullable=False),
        sa.Column("tools", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_toolsets_updated_at", "toolsets", ["updated_at"])
    op.create_table(
        "toolset_rules",
        sa.Column("toolset_id", sa.Integer, sa.ForeignKey("toolsets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("excludes", sa.Boolean, nullable=False),
        sa.Column("name_pattern", sa.Text),
        sa.Column("category_pattern", sa.Text),
        sa.Column("source_pattern", sa.Text),
        sa.Column("tags", sa.ARRAY(sa.Text), nullable=False),
    )
    op.create_table(
        "toolset_members",
        sa.Column("toolset_id", sa.Integer, sa.ForeignKey("toolsets.id", ondelete="CASCADE"), nullable=False),
        # Pages go by this order, which must not depend on where PostgreSQL runs.
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("tool_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("toolset_id", "name", postgresql_include=["tool_id"]),
    )
    op.create_index("ix_toolset_members_tool", "toolset_members", ["tool_id"])
    op.create_table(
        "catalogue",
        sa.Column("is_only_row", sa.Boolean, sa.CheckConstraint("is_only_row", name="one_row"), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.execute("insert into catalogue (is_only_row, revision) values (true, 1)")
    op.execute(f"create view toolset_matches as {select_matches('tools')}")
    # A trigger, because tools are written in many places: whoever forgot it would leave a toolset wrong for good.
    op.execute(f"""
        create function resolve_changed_tools() returns trigger language plpgsql as $$
        declare
            touched integer[];
            joined integer[];
        begin
            if not exists (select from changed) then
                return null;
            end if;
            if tg_op = 'UPDATE' then
                if not exists ((select id, {COMPARED} from changed) except all (select id, {COMPARED} from previous))
                then
                    return null;
                end if;
            end if;
            -- A toolset that is written at the same time would not see these tools, nor these tools the toolset.
            lock table toolset_members in share row exclusive mode;
            with gone as (
                delete from toolset_members m using changed c where m.tool_id = c.id returning m.toolset_id
            )
            select coalesce(array_agg(distinct toolset_id), '{{}}') into touched from gone;
            if tg_op <> 'DELETE' then
                with came as (
                    insert into toolset_members (toolset_id, tool_id, name) {select_matches("changed")}
                    returning toolset_id
                )
                select coalesce(array_agg(distinct toolset_id), '{{}}') into joined from came;
                touched := touched || joined;
            end if;
            update toolsets s
            set revision = revision + 1, tools = (select count(*) from toolset_members m where m.toolset_id = s.id)
            where s.id = any(touched);
            update catalogue set revision = revision + 1;
            perform pg_notify('toolbox_tools', '');  -- see toolbox/events.py
            return null;
        end $$
    """)
    for event, tables in (
        ("insert", "new table as changed"),
        ("update", "old table as previous new table as changed"),
        ("delete", "old table as changed"),
    ):
        op.execute(
            f"create trigger toolsets_after_{event} after {event} on tools referencing {tables} "
            "for each statement execute function resolve_changed_tools()"
        )


def downgrade() -> None:
    for event in ("insert", "update", "delete"):
        op.execute(f"drop trigger toolsets_after_{event} on tools")
    op.execute("drop function resolve_changed_tools()")
    op.execute("drop view toolset_matches")
    for table in ("catalogue", "toolset_members", "toolset_rules", "toolsets"):
        op.drop_table(table)
