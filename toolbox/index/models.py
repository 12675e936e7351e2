"""Tables of the index: embeddings beside each other per model, and BM25 postings."""

from datetime import datetime
from typing import Any

from advanced_alchemy.base import DefaultBase
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import REAL
from sqlalchemy.orm import Mapped, mapped_column


class ModelRow(DefaultBase):
    """An embedding model, and what its scores are worth over this catalogue (see `toolbox.index.calibration`).

    Each has an HNSW index of its own, made when the model is first used.
    """

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(SmallInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    dimensions: Mapped[int] = mapped_column(Integer)
    calibrated_tools: Mapped[int | None] = mapped_column(Integer)
    cosine_mean: Mapped[float | None] = mapped_column(Double)
    cosine_deviation: Mapped[float | None] = mapped_column(Double)
    text_mean: Mapped[float | None] = mapped_column(Double)
    text_deviation: Mapped[float | None] = mapped_column(Double)
    query_mean: Mapped[float | None] = mapped_column(Double)
    query_deviation: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class EmbeddingRow(DefaultBase):
    """The vector of one tool by one model, and the hash of the text that it was made from."""

    __tablename__ = "embeddings"

    tool_id: Mapped[int] = mapped_column(ForeignKey("tools.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    text_hash: Mapped[bytes] = mapped_column(LargeBinary)
    embedding: Mapped[Any] = mapped_column(HALFVEC())


class LexemeRow(DefaultBase):
    """A word stem and in how many tools it stands; the empty stem stands in all, so that it counts them."""

    __tablename__ = "lexemes"

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    lexeme: Mapped[str] = mapped_column(Text, unique=True)
    tools: Mapped[int] = mapped_column(Integer, server_default=text("0"))


class WordRow(DefaultBase):
    """A word as tools spell it, and the stem that it has; words are added, never taken away."""

    __tablename__ = "words"

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    word: Mapped[str] = mapped_column(Text, unique=True)
    lexeme_id: Mapped[int] = mapped_column(Integer)


class PostingRow(DefaultBase):
    """How much a word says about a tool: BM25 without its idf, which is applied when searching.

    There are no foreign keys: a check per row doubles the time to fill it, and whoever takes a tool away has to
    subtract it from `lexemes.tools` too.
    """

    __tablename__ = "postings"
    __table_args__ = (
        Index("ix_postings_lexeme", "lexeme_id", text("impact DESC"), postgresql_include=["tool_id"]),
        PrimaryKeyConstraint("tool_id", "lexeme_id", postgresql_include=["impact"]),
    )

    tool_id: Mapped[int] = mapped_column(Integer)
    lexeme_id: Mapped[int] = mapped_column(Integer)
    impact: Mapped[float] = mapped_column(REAL)
