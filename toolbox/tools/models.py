"""Tables of the catalogue: tools, their versions, and the replicas that offer them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import DefaultBase
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column


class ToolRow(DefaultBase):
    """A tool as it is now. Schemas are `json`, not `jsonb`: callers get them back as they were written.

    It is active while somebody offers it (`is_offered`) and no operator has switched it off or is still to approve it.
    """

    __tablename__ = "tools"
    __table_args__ = (
        Index("ix_tools_name_key", "name_key"),
        Index("ix_tools_name_lexemes", "name_lexemes"),
        Index("ix_tools_category", "category", postgresql_where=text("active")),
        Index("ix_tools_source", "source", postgresql_include=["active"]),
        Index("ix_tools_tags", "tags", postgresql_using="gin"),
        Index("ix_tools_index_version", "index_version", "id"),
        Index("ix_tools_kept_out", "name", postgresql_where=text("is_switched_off or is_held")),
        Index("ix_tools_hidden", "id", postgresql_where=text("not active")),
        Index("ix_tools_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    name_key: Mapped[str] = mapped_column(Text)
    name_lexemes: Mapped[str] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    long_description: Mapped[str | None] = mapped_column(Text)
    author: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    examples: Mapped[Any] = mapped_column(JSON)
    version: Mapped[str] = mapped_column(Text)
    input_schema: Mapped[Any] = mapped_column(JSON)
    output_schema: Mapped[Any | None] = mapped_column(JSON)
    annotations: Mapped[Any] = mapped_column(JSON)
    tool_metadata: Mapped[Any] = mapped_column("metadata", JSONB)
    timeout_seconds: Mapped[float | None] = mapped_column(Double)
    implementation: Mapped[Any | None] = mapped_column(JSON)
    source: Mapped[str] = mapped_column(Text)
    source_version: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    embedding_text: Mapped[str] = mapped_column(Text)
    index_version: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    is_offered: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    is_switched_off: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    is_held: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    is_pinned: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ToolVersionRow(DefaultBase):
    """Every definition that a tool has had or was offered, the newest last; `review` says why one is not in force."""

    __tablename__ = "tool_versions"
    __table_args__ = (Index("ix_tool_versions_review", "tool_id", postgresql_where=text("review is not null")),)

    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    definition: Mapped[Any] = mapped_column(JSON)
    implementation: Mapped[Any | None] = mapped_column(JSON)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    review: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class SourcePolicyRow(DefaultBase):
    """What happens when tools of a source change; `source` may be a pattern with `*`."""

    __tablename__ = "source_policies"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    on_change: Mapped[str] = mapped_column(Text)


class ToolFindingsRow(DefaultBase):
    """What lint has found in a definition."""

    __tablename__ = "tool_findings"
    __table_args__ = (Index("ix_tool_findings_flagged", "tool_id", postgresql_where=text("is_flagged")),)

    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    lint_version: Mapped[int] = mapped_column(SmallInteger)
    findings: Mapped[Any] = mapped_column(JSON)
    is_flagged: Mapped[bool] = mapped_column(Boolean)


class ReplicaRow(DefaultBase):
    """A running server and the plugin tools that it can run; it counts as alive while `seen_at` is recent."""

    __tablename__ = "replicas"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    tool_names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    source_versions: Mapped[Any | None] = mapped_column(JSON)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
