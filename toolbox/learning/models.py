"""The tables of searches, and of what was used for them."""

from datetime import datetime
from typing import Any

from advanced_alchemy.base import DefaultBase
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column


class SearchRow(DefaultBase):
    """A search, and the tools that it showed, best first."""

    __tablename__ = "searches"
    __table_args__ = (
        Index("ix_searches_caller", "caller", "created_at"),
        Index("ix_searches_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    caller: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    shown: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class UseRow(DefaultBase):
    """A tool that somebody called with success after a search that showed it; the same again only makes it newer."""

    __tablename__ = "uses"
    __table_args__ = (
        Index("uq_uses", "tool_id", "caller", text("md5(query)"), unique=True),
        Index("ix_uses_created_at", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id", ondelete="CASCADE"))
    caller: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class UseEmbeddingRow(DefaultBase):
    """The vector of one use's query by one model. Each model has an HNSW index of its own."""

    __tablename__ = "use_embeddings"

    use_id: Mapped[int] = mapped_column(ForeignKey("uses.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    embedding: Mapped[Any] = mapped_column(HALFVEC())
