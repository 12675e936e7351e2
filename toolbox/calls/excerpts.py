"""Excerpts: what is given of a result that is too long, with the way to the rest. Pure module: no I/O.

What an output schema promises of a value holds for its excerpt too; where that cannot be, the excerpt has no structured
value, and says why.
"""

from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, Struct, structs

from toolbox.calls.budgets import Page, Path, count_content_tokens, count_tokens, cut, find_cut, follow, put_part
from toolbox.calls.handles import Handle, make_link
from toolbox.calls.results_store import Document
from toolbox.definitions import Content, ResourceLink, TextContent, ToolResult, read_content

NOTE_TOKENS = 180
"""What the sentence and the link take that lead to the rest."""

Check: TypeAlias = Callable[[ToolResult], str | None]
"""Says what is wrong with a result that its tool promised otherwise."""

Hide: TypeAlias = Callable[[Document], Document]
"""What is kept of a document: no secrets."""

MARK = "toolbox/more"
"""The member of a result's `_meta` that says that it is an excerpt, and where the rest is: clients that show the
structured value alone see no sentence about it."""


class More(Struct, frozen=True, kw_only=True):
    """What an excerpt does not show: it has `shown` of `total` items, members or characters; `uri` leads on."""

    shown: int
    total: int
    unit: str
    uri: str
    path: str
    """The same over REST."""
    note: str


class Excerpt(Struct, frozen=True, kw_only=True):
    """An excerpt, and what must be kept before it is given out."""

    result: ToolResult
    value: Any
    """What callers get who take the value alone."""
    more: More
    documents: list[Document]
    """As they are kept."""


def fits(result: ToolResult, max_tokens: int) -> bool:
    """Whether a result is short enough: its content, and its value too, of which clients show one or the other."""
    if count_content_tokens(result.content) > max_tokens:
        return False
    if result.structured is UNSET:
        return True
    return count_tokens(result.structured) <= max_tokens


def make_excerpt(result: ToolResult, max_tokens: int, execution_id: UUID, check: Check, hide: Hide) -> Excerpt:
    """The excerpt of a result that is too long.

    Raises:
        TypeError, ValueError, RecursionError: The result cannot be written as JSON.
    """
    room = max(max_tokens - NOTE_TOKENS, max_tokens // 2)
    blocks = _to_plain(result.content)
    if result.structured is UNSET:
        document = Document(execution_id, "content", blocks)
        page, kept = _cut(document, room), hide(document)
        more = _describe(document, page, kept, hide)
        content = (*_to_content(page.value), *_lead_on(more))
        return Excerpt(result=_marked(result, more, content=content), value=page.value, more=more, documents=[kept])
    document = Document(execution_id, "value", _to_plain(result.structured))
    page, problem = _cut_value(document, result, max_tokens, room, check)
    documents = [hide(document)]
    more = _describe(document, page, documents[0], hide, problem)
    if not page.is_whole and _is_mirror(result.content, document.value):
        content = (TextContent(_to_text(page.value)),)
    elif count_content_tokens(result.content) <= max_tokens:
        content = result.content
    else:
        own = Document(uuid4(), "content", blocks)
        documents.append(hide(own))
        shown = _cut(own, room)
        rest = _describe(own, shown, documents[1], hide)
        content = (*_to_content(shown.value), *_lead_on(rest))
        if page.is_whole:
            excerpt = _marked(result, rest, content=content)
            return Excerpt(result=excerpt, value=page.value, more=rest, documents=documents[1:])
    structured = page.value if problem is None else UNSET
    excerpt = _marked(result, more, content=(*content, *_lead_on(more)), structured=structured)
    return Excerpt(result=excerpt, value=page.value, more=more, documents=documents)


def _marked(result: ToolResult, more: More, **parts: Any) -> ToolResult:
    mark = {"shown": more.shown, "total": more.total, "unit": more.unit, "uri": more.uri}
    return structs.replace(result, metadata={**result.metadata, MARK: mark}, **parts)


def _cut_value(
    document: Document, result: ToolResult, max_tokens: int, room: int, check: Check
) -> tuple[Page, str | None]:
    """A page that is what the output schema promises, if there is one, and what is wrong with it if there is none."""
    whole = count_tokens(document.value) <= max_tokens
    page = _cut(document, None if whole else room)
    problem = None if whole or result.is_error else check(ToolResult(structured=page.value))
    if problem is None or not page.replaced:
        return page, problem
    shorter = _cut(document, room, replaces=False)
    if check(ToolResult(structured=shorter.value)) is None:
        return shorter, None
    return page, problem


def _cut(document: Document, room: int | None, *, replaces: bool = True) -> Page:
    handle = Handle(document.id)

    def link(path: Path, tokens: int) -> Any:
        return make_link(handle, document.value, path, tokens) if path else None

    return cut(document.value, room, link, path=document.path, replaces=replaces)


def _describe(document: Document, page: Page, kept: Document, hide: Hide, problem: str | None = None) -> More:
    offset = _find_rest(document, page.end, kept, hide) if page.end < page.total else 0
    following = Handle(document.id, offset=offset)
    note = f"This is not all: {_say_what(page)} shown."
    if page.replaced:
        note += " What alone is too long stands as a link."
    if problem:
        note += f" There is no structured content, because {problem[:120]}"
    wanted = "The next ones" if page.end < page.total else "All of it"
    note += (
        f' {wanted}: read the resource {following.uri}, or run the tool "read_result" with this "uri" (through'
        ' call_tool, where that is listed); over REST, GET "path".'
    )
    return More(
        shown=page.end - page.offset,
        total=page.total,
        unit=page.unit,
        uri=following.uri,
        path=following.path,
        note=note,
    )


def _find_rest(document: Document, end: int, kept: Document, hide: Hide) -> int:
    """Where what is kept goes on behind a page; rather some of it twice than any of it not at all.

    Without its secrets a text is longer or shorter, and a value may be cut somewhere else.
    """
    path = _find_cut(document)
    if _find_cut(kept) != path:
        return 0
    whole, kept_whole = follow(document.value, path), follow(kept.value, path)
    if whole == kept_whole:
        return end
    if isinstance(whole, str) and isinstance(kept_whole, str):
        # A secret that the page ends in shows in neither half as what it is.
        head, tail = (
            len(follow(hide(structs.replace(document, value=put_part(document.value, path, part))).value, path))
            for part in (whole[:end], whole[end:])
        )
        return max(min(head, len(kept_whole) - tail), 0)
    return end if type(whole) is type(kept_whole) and len(whole) == len(kept_whole) else 0


def _find_cut(document: Document) -> Path:
    return find_cut(document.value) if document.path is None else document.path


def _say_what(page: Page) -> str:
    if page.end == page.offset:
        return f"none of {page.total:,} {page.unit} is"
    if page.end - page.offset == page.total:
        return f"{page.total:,} of {page.total:,} {page.unit} are"
    return f"the {page.unit} {page.offset + 1:,} to {page.end:,} of {page.total:,} are"


def _lead_on(more: More) -> tuple[Content, ...]:
    return (TextContent(more.note), ResourceLink(more.uri, "the rest of the result"))


def _is_mirror(content: tuple[Content, ...], value: Any) -> bool:
    """Whether content says the same as the value, for models that read text."""
    if not content:
        return True
    if len(content) > 1 or not isinstance(content[0], TextContent):
        return False
    if isinstance(value, str):
        return content[0].text == value
    try:
        return bool(msgspec.json.decode(content[0].text) == value)
    except msgspec.DecodeError:
        return False


def _to_content(blocks: Any) -> tuple[Content, ...]:
    return tuple(read_content(block) for block in blocks)


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _to_plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
