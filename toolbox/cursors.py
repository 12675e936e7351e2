"""Cursors: where the next page of a list begins. Opaque to callers, and refused where they are none of ours."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from toolbox.errors import InvalidRequest

T = TypeVar("T")


def write_cursor(position: object) -> str:
    """What leads to the things behind a position, as text that fits into a URL."""
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def read_cursor(cursor: str, kind: type[T]) -> T:
    """The position behind which to go on.

    Raises:
        InvalidRequest: The cursor is none of ours.
    """
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (ValueError, msgspec.DecodeError) as error:  # a bad base64 and a ValidationError are both a ValueError
        raise InvalidRequest(f"cursor {cursor[:100]!r} is none of ours: start again without one") from error
