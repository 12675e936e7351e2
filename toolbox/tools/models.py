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
    """A tool as it is now. Schemas are `json`, not `jsonb`: callers get them back as they were written."""

    __tablename__ = "tools"
    __table_args__ = (
        Index("ix_tools_name_key", "name_key"),
        Index("ix_tools_name_lexemes", "name_lexemes"),
        Index("ix_tools_category", "category", postgresql_where=text("active")),
        Index("ix_tools_source", "source", postgresql_include=["active"]),
        Index("ix_tools_tags", "tags", postgresql_using="gin"),
        Index("ix_tools_index_version", "index_version", "id"),
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
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ToolVersionRow(DefaultBase):
    """Every definition that a tool has had, the newest last."""

    __tablename__ = "tool_versions"

    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    definition: Mapped[Any] = mapped_column(JSON)
    implementation: Mapped[Any | None] = mapped_column(JSON)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ReplicaRow(DefaultBase):
    """A running server and the plugin tools that it can run; it counts as alive while `seen_at` is recent."""

    __tablename__ = "replicas"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    tool_names: Mapped[list[str]] = mapped_column(ARRAY(Text))
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
