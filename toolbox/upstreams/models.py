"""The table of upstreams: what is configured, and the last that is known of what each offers."""

from datetime import datetime
from typing import Any

from advanced_alchemy.base import DefaultBase
from sqlalchemy import JSON, Boolean, DateTime, Integer, LargeBinary, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column


class UpstreamRow(DefaultBase):
    """An upstream; `read_for` is the fingerprint of the configuration for which its lists were read.

    `pending` and `tools` are for replicas of an earlier version during a roll-out, and go with the next release.
    """

    __tablename__ = "upstreams"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    config: Mapped[Any] = mapped_column(JSON)
    enabled: Mapped[bool] = mapped_column(Boolean)
    origin: Mapped[str] = mapped_column(Text)
    server: Mapped[Any | None] = mapped_column(JSON)
    offers: Mapped[Any | None] = mapped_column(JSON)
    left_out: Mapped[Any | None] = mapped_column(JSON)
    pending: Mapped[Any | None] = mapped_column(JSON)
    tools: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    problem: Mapped[str | None] = mapped_column(Text)
    read_for: Mapped[bytes | None] = mapped_column(LargeBinary)
    read_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
