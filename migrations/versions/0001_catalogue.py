"""The catalogue, its index and the calls."""

import pgvector.sqlalchemy
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("create extension if not exists vector")
    op.create_table(
        "tools",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("name_lexemes", sa.Text, nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("long_description", sa.Text),
        sa.Column("author", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("tags", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("examples", sa.JSON, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("input_schema", sa.JSON, nullable=False),
        sa.Column("output_schema", sa.JSON),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("metadata", postgresql.JSONB, nullable=False),
        sa.Column("timeout_seconds", sa.Double),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_version", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("embedding_text", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("ix_tools_name_key", "tools", ["name_key"])
    op.create_index("ix_tools_name_lexemes", "tools", ["name_lexemes"])
    op.create_index("ix_tools_category", "tools", ["category"], postgresql_where=sa.text("active"))
    op.create_index("ix_tools_source", "tools", ["source"])
    op.create_index("ix_tools_tags", "tools", ["tags"], postgresql_using="gin")
    op.create_index(
        "ix_tools_metadata",
        "tools",
        ["metadata"],
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    )
    op.create_table(
        "tool_versions",
        sa.Column("tool_id", sa.Integer, sa.ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "replicas",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tool_names", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.SmallInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("dimensions", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "embeddings",
        sa.Column("tool_id", sa.Integer, sa.ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("model_id", sa.SmallInteger, sa.ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("text_hash", sa.LargeBinary, nullable=False),
        sa.Column("embedding", pgvector.sqlalchemy.HALFVEC(), nullable=False),
    )
    op.create_table(
        "lexemes",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("lexeme", sa.Text, nullable=False, unique=True),
        sa.Column("tools", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "postings",
        sa.Column("tool_id", sa.Integer, nullable=False),
        sa.Column("lexeme_id", sa.Integer, nullable=False),
        sa.Column("impact", sa.REAL, nullable=False),
        sa.PrimaryKeyConstraint("tool_id", "lexeme_id", postgresql_include=["impact"]),
    )
    op.create_index(
        "ix_postings_lexeme", "postings", ["lexeme_id", sa.text("impact DESC")], postgresql_include=["tool_id"]
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tool_name", sa.Text, nullable=False),
        sa.Column("tool_version", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Double, nullable=False),
    )
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.create_index("ix_calls_tool", "calls", ["tool_name", "started_at"])


def downgrade() -> None:
    for table in ("calls", "postings", "lexemes", "embeddings", "models", "replicas", "tool_versions", "tools"):
        op.drop_table(table)
