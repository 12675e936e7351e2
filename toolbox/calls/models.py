"""The table of calls."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import DefaultBase
from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Double, Index, SmallInteger, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column


class CallRow(DefaultBase):
    """One execution. It names its tool in words, so that history outlives the tool."""

    __tablename__ = "calls"
    __table_args__ = (
        Index("ix_calls_started_at", "started_at"),
        Index("ix_calls_tool", "tool_name", "started_at"),
        Index("ix_calls_caller", "caller", "started_at"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    tool_name: Mapped[str] = mapped_column(Text)
    tool_version: Mapped[str] = mapped_column(Text)
    caller: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    arguments: Mapped[Any] = mapped_column(JSON)
    success: Mapped[bool] = mapped_column(Boolean)
    result: Mapped[Any | None] = mapped_column(JSON)
    error_code: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    duration_ms: Mapped[float] = mapped_column(Double)
    trace_id: Mapped[str | None] = mapped_column(Text)


class CallStatisticsRow(DefaultBase):
    """How many calls of a tool took about so long (`toolbox.calls.statistics`)."""

    __tablename__ = "call_statistics"

    tool_name: Mapped[str] = mapped_column(Text, primary_key=True)
    success: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    last_called_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class CallTotalRow(DefaultBase):
    """The same for all tools together, so that nobody adds up a hundred thousand rows to tell.

    Each connection counts in one of several slots: in the same rows, all that write would wait for each other's commit.
    """

    __tablename__ = "call_totals"

    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    success: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    last_called_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ResultRow(DefaultBase):
    """A result that was too long for its answer, whole. Its id is that of the call, or one that only its link names."""

    __tablename__ = "results"
    __table_args__ = (Index("ix_results_created_at", "created_at"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    caller: Mapped[str] = mapped_column(Text)
    tool_name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    value: Mapped[Any] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
