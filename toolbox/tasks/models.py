"""The table of tasks."""

from datetime import datetime
from typing import Any
from uuid import UUID

from advanced_alchemy.base import DefaultBase
from sqlalchemy import ARRAY, JSON, BigInteger, Boolean, DateTime, Double, Index, Integer, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column


class TaskRow(DefaultBase):
    """A call that a client follows while a worker runs it."""

    __tablename__ = "tasks"
    __table_args__ = (Index("ix_tasks_expires_at", "expires_at"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    tool_name: Mapped[str] = mapped_column(Text)
    caller: Mapped[str] = mapped_column(Text)
    toolset: Mapped[str | None] = mapped_column(Text)
    toolsets: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    # All JSON is kept as it was written: the order of fields in a form or a result means something to people.
    arguments: Mapped[Any] = mapped_column(JSON)
    timeout_seconds: Mapped[float | None] = mapped_column(Double)
    max_tokens: Mapped[int | None] = mapped_column(Integer)
    asks_before_destructive: Mapped[bool] = mapped_column(Boolean)
    capabilities: Mapped[Any] = mapped_column(JSON)
    answers: Mapped[Any] = mapped_column(JSON)
    questions: Mapped[Any] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(Text, server_default="working")
    message: Mapped[str | None] = mapped_column(Text)
    result: Mapped[Any | None] = mapped_column(JSON)
    error: Mapped[Any | None] = mapped_column(JSON)
    execution_id: Mapped[UUID] = mapped_column(Uuid)
    job_id: Mapped[int] = mapped_column(BigInteger)
    is_running: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
