"""The shapes of keys on the wire."""

from typing import Annotated

from msgspec import Meta, Struct

from toolbox.auth.scopes import Scope
from toolbox.definitions import Moment

KEY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
MAX_OVERLAP_SECONDS = 30 * 86400

KeyName = Annotated[str, Meta(pattern=KEY_NAME, examples=["ci"])]


class NewKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to issue."""

    name: KeyName
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=10)] = ("tools:read", "tools:call")
    toolsets: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1, max_length=100)] | None,
        Meta(description="The toolsets whose tools it may see and call; it can then only have tools:read, tools:call."),
    ] = None
    expires_at: Annotated[Moment | None, Meta(description="When it ends by itself; null: never.")] = None


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key is rotated."""

    overlap_seconds: Annotated[
        int, Meta(ge=0, le=MAX_OVERLAP_SECONDS, description="How long what is replaced still works.")
    ] = 86400


class Key(Struct, frozen=True, kw_only=True):
    """A key, without the secret that its caller shows."""

    name: str
    scopes: list[str]
    toolsets: list[str] | None
    created_by: str
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    endings: Annotated[list[str], Meta(description="The last characters of each secret that works now.")]


class IssuedKey(Struct, frozen=True, kw_only=True):
    """A key, and its secret: this is the only time that anybody sees it."""

    key: Key
    secret: Annotated[str, Meta(description="Sent as `Authorization: Bearer ...`; it cannot be read again.")]
