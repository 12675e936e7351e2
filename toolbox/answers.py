"""Answers over REST: JSON as msgspec writes it, and which state of a thing it shows (ETag; RFC 9110, 8.8.3, 13.1)."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import HeaderParameter

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", max_length=1000, description="The ETag that the change is based on.")
]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", max_length=1000, description="`*`: only if there is none yet.")
]


def answer_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """An answer whose body is the value."""
    body = msgspec.json.encode(value)
    return Response(body, status_code=status, media_type="application/json", headers=dict(headers or {}))


def make_etag(*state: Any) -> str:
    """Another one for each state."""
    return f'"{hashlib.blake2b(msgspec.json.encode(state), digest_size=8).hexdigest()}"'


def allows(if_match: str | None, etag: str | None) -> bool:
    """Whether `If-Match` lets a thing be changed that is in this state; None: it is not there."""
    if if_match is None:
        return True
    wanted = {part.strip().removeprefix("W/") for part in if_match.split(",")}
    return etag is not None and ("*" in wanted or etag in wanted)
