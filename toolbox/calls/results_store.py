"""Results that were too long for an answer: kept whole, and read again page by page.

A result is on disk before its handle is given out. The id of a handle is the call's own, which cannot be guessed, and
only the caller who made the call can use it. Any other recorded call can be read by its id in the same way.
"""

from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Raw, Struct

from toolbox.calls.budgets import Page, Path, cut, follow, read_pointer
from toolbox.calls.handles import Handle, make_link
from toolbox.database import Database
from toolbox.errors import NotFound

Kind: TypeAlias = Literal["value", "content"]
"""What is kept: the value that a tool gave, or its content for the model, a list of blocks."""


class Document(Struct, frozen=True):
    """A result as plain data."""

    id: UUID
    kind: Kind
    value: Any

    @property
    def path(self) -> Path | None:
        """Where it is cut, if its kind says so: content that is one text is paged like any text."""
        if self.kind == "content" and len(self.value) == 1 and self.value[0].get("type") == "text":
            return (0, "text")
        return None


class ReadPage(Struct, frozen=True):
    """A page of a result, and where the next one is."""

    handle: Handle
    kind: Kind
    page: Page
    next: Handle | None


class ResultStore:
    """Keeps results in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, documents: list[Document], *, caller: str, tool_name: str) -> None:
        """Keep results of one call. When this returns they are on disk.

        Raises:
            DatabaseUnavailable: They are not.
        """
        async with self._database.transaction() as connection:
            await connection.executemany(
                "insert into results (id, caller, tool_name, kind, value) values ($1, $2, $3, $4, $5)",
                [(document.id, caller, tool_name, document.kind, document.value) for document in documents],
            )

    async def read(self, result_id: UUID, owner: str | None) -> Document:
        """The result of a call of this caller; None: of anybody.

        Raises:
            NotFound: There is none, or it is somebody else's, or its time is over.
        """
        row = await self._database.fetch_row(
            """
            select kind, value from results where id = $1 and ($2::text is null or caller = $2)
            union all
            select 'value', result from calls
            where id = $1 and ($2::text is null or caller = $2) and result is not null
            limit 1
            """,
            result_id,
            owner,
        )
        if row is None:
            raise NotFound(f"there is no result {str(result_id)!r} of yours; results go when the calls do")
        return Document(result_id, row["kind"], msgspec.json.decode(Raw(row["value"])))

    async def read_page(self, handle: Handle, owner: str | None, *, max_tokens: int | None = None) -> ReadPage:
        """The page of a result that a handle names; within a budget, if there is one.

        Raises:
            NotFound: There is no such result, or no such part of it.
        """
        return read_page(await self.read(handle.id, owner), handle, max_tokens=max_tokens)


def read_page(document: Document, handle: Handle, *, max_tokens: int | None = None) -> ReadPage:
    """The page of a document that a handle names.

    Raises:
        NotFound: The document has no such part.
    """
    try:
        base = read_pointer(handle.at, document.value)
    except LookupError as error:
        raise NotFound(f"the result {str(document.id)!r} has no part {handle.at[:100]!r}") from error

    def link(path: Path, tokens: int) -> Any:
        # A page that is the whole of the part it names would lead nowhere but to itself.
        return make_link(handle, document.value, base + path, tokens) if path else None

    wanted = follow(document.value, base)
    page = cut(
        wanted,
        None if document.kind == "content" and _is_file(wanted) else max_tokens,
        link,
        path=document.path if not handle.at else None,
        offset=handle.offset,
        limit=handle.limit,
    )
    following = Handle(handle.id, handle.at, page.end, handle.limit) if page.end < page.total else None
    return ReadPage(handle, document.kind, page, following)


def _is_file(block: Any) -> bool:
    """Whether it is an image, a sound or a file: half of one is worth nothing."""
    if not isinstance(block, dict):
        return False
    return block.get("type") in ("image", "audio") or "blob" in block.get("resource", {})
