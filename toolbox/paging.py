"""What lists for operators have in common: how long a page is, and where the next one is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar.params import QueryParameter

PageLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="Most that a page holds.")]
QueryMoment = Annotated[datetime | None, QueryParameter(description="RFC 3339, with its offset.")]
QueryText = Annotated[str | None, QueryParameter(max_length=1000)]


def link_to_next(path: str, given: Mapping[str, Any]) -> str:
    """The header `Link` (RFC 8288): the same question with the next page's cursor; what is None is left out."""
    query = {name: _as_text(value) for name, value in given.items() if value is not None}
    return f'<{path}?{urlencode(query)}>; rel="next"'


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)
