"""The tables of keys. What a key is can be read here, never the key itself."""

from datetime import datetime

from advanced_alchemy.base import DefaultBase
from sqlalchemy import ARRAY, DateTime, ForeignKey, Identity, Integer, LargeBinary, Text, func
from sqlalchemy.orm import Mapped, mapped_column


class KeyRow(DefaultBase):
    """A caller with a key. It stays when it is revoked: its name is on calls, and is never given to another."""

    __tablename__ = "keys"

    id: Mapped[int] = mapped_column(Integer, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    toolsets: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class KeySecretRow(DefaultBase):
    """The digest of what a caller shows; two of them while a key is being rotated."""

    __tablename__ = "key_secrets"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("keys.id", ondelete="CASCADE"), index=True)
    ending: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
