"""What an embedding endpoint answers, read: the vectors, and when to come back. Pure functions."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


class Refused(Exception):
    """The endpoint answers, but not to this: too many texts, too long a text, or a form that it does not know."""


def read_rows(answer: Any, count: int) -> list[Any]:
    """The vectors in an answer, in the order of the texts.

    Known are `{"data": [{"index": 0, "embedding": [...]}]}`, `{"embeddings": [[...]]}`, a bare list of either kind of
    rows, and for one text its bare vector.

    Raises:
        ValueError: It is none of these.
        Refused: There is not one vector for each text; fewer texts at once may do.
    """
    rows = answer.get("data", answer.get("embeddings")) if isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        raise ValueError("no list of vectors")  # noqa: TRY004 - of an answer, not of an argument
    if count == 1 and rows and all(isinstance(number, int | float) for number in rows):
        return [rows]
    if len(rows) != count:
        raise Refused(f"it answered {len(rows)} vectors for {count} texts")
    if not all(isinstance(row, dict) for row in rows):
        return rows
    indices = [row.get("index") for row in rows]
    if indices != [None] * count:
        if sorted(index for index in indices if isinstance(index, int)) != list(range(count)):
            raise Refused("it answered vectors whose indices are not those of the texts")
        rows = sorted(rows, key=lambda row: int(row["index"]))
    return [row.get("embedding") for row in rows]


def parse_retry_after(value: str | None) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3): a number, or what is left until a date; None if it says neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
