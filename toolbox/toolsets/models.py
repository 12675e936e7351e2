"""Tables of toolsets. Who is a member is decided in the database, by a trigger: tools are written in many places."""

from datetime import datetime
from typing import Any

from advanced_alchemy.base import DefaultBase
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column


class ToolsetRow(DefaultBase):
    """A toolset; one that was deleted stays, without members, because registries must say that it is gone.

    `revision` grows with every change that a client can see: of the toolset, its members or their definitions.
    """

    __tablename__ = "toolsets"
    __table_args__ = (Index("ix_toolsets_updated_at", "updated_at"),)

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    title: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    is_direct: Mapped[bool] = mapped_column(Boolean)
    asks_before_destructive: Mapped[bool] = mapped_column(Boolean)
    max_tokens: Mapped[int | None] = mapped_column(Integer)
    rules: Mapped[Any] = mapped_column(JSONB)
    limits: Mapped[Any | None] = mapped_column(JSON)
    tools: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    revision: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ToolsetRuleRow(DefaultBase):
    """A rule as PostgreSQL compares it: patterns are those of LIKE, and null holds for every tool."""

    __tablename__ = "toolset_rules"

    toolset_id: Mapped[int] = mapped_column(ForeignKey("toolsets.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    excludes: Mapped[bool] = mapped_column(Boolean)
    name_pattern: Mapped[str | None] = mapped_column(Text)
    category_pattern: Mapped[str | None] = mapped_column(Text)
    source_pattern: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))


class ToolsetMemberRow(DefaultBase):
    """An active tool that is in a toolset."""

    __tablename__ = "toolset_members"
    __table_args__ = (
        PrimaryKeyConstraint("toolset_id", "name", postgresql_include=["tool_id"]),
        Index("ix_toolset_members_tool", "tool_id"),
    )

    toolset_id: Mapped[int] = mapped_column(ForeignKey("toolsets.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text(collation="C"))
    tool_id: Mapped[int] = mapped_column(Integer)


class CatalogueRow(DefaultBase):
    """One row: a number that grows with every change of a tool that a client can see."""

    __tablename__ = "catalogue"

    is_only_row: Mapped[bool] = mapped_column(Boolean, CheckConstraint("is_only_row", name="one_row"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
