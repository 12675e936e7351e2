"""The tables of what replicas share of conversations with clients."""

from datetime import datetime
from uuid import UUID

from advanced_alchemy.base import DefaultBase
from sqlalchemy import Boolean, DateTime, Integer, LargeBinary, Text, Uuid, func
from sqlalchemy.orm import Mapped, mapped_column


class SharedSecretRow(DefaultBase):
    """A secret that replicas agree on, where the operator has set none (`toolbox.seals`)."""

    __tablename__ = "shared_secrets"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class ClientAnswerRow(DefaultBase):
    """A client's answer that another replica waits for (`toolbox.mcp.conversations`)."""

    __tablename__ = "client_answers"
    __table_args__ = ({"prefixes": ["unlogged"]},)

    request_id: Mapped[str] = mapped_column(Text, primary_key=True)
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class StreamEventRow(DefaultBase):
    """A message on a stream that its client may come back to (`toolbox.mcp.resumption`)."""

    __tablename__ = "stream_events"
    __table_args__ = ({"prefixes": ["unlogged"]},)

    stream: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    message: Mapped[bytes] = mapped_column(LargeBinary)
    is_last: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)


class SessionSubscriptionRow(DefaultBase):
    """A resource that a session wants to hear of (`toolbox.mcp.session_subscriptions`)."""

    __tablename__ = "session_subscriptions"

    session_id: Mapped[str] = mapped_column(Text, primary_key=True)
    uri: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
