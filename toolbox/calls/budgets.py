"""How long a result is for a model, and its pages: parts of it that fit, cut between items only. Pure module: no I/O.

The pages of a value have its shape. They are cut in one place: where most of it is, a list, a text or an object, at the
root or inside of objects. An item that alone is too long is replaced by a link, through which it can be read by itself.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from math import inf
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from toolbox.definitions import Content, TextContent

BYTES_PER_TOKEN = 3
"""Of UTF-8. Tokenizers take about 4 bytes of English, 3 of JSON, 2 to 3 of Chinese: prose is judged a little hard."""

IMAGE_TOKENS = 1_600
"""Models see an image, not its base64: the large ones count a large one as about so many tokens."""

MAX_DEPTH = 8
"""How far down the place to cut is looked for: each level costs a reading of all that is below it."""

FRAME_BYTES = 600
"""How much may be beside the place to cut, and so on every page; a long member counts as the link it can become."""

LINK_BYTES = 200

Path: TypeAlias = tuple[str | int, ...]
"""The way from a value to a part of it: names of members and positions in lists."""

Linker: TypeAlias = Callable[[Path, int], Any]
"""Makes what stands for an item that is too long: takes its path and its tokens. None: the item has to stay."""

Unit: TypeAlias = Literal["items", "members", "characters"]


class Page(Struct, frozen=True, kw_only=True):
    """A part of a value, in the value's own shape. It holds what is from `offset` to `end`, out of `total`."""

    value: Any
    unit: Unit
    offset: int
    end: int
    total: int
    replaced: tuple[Path, ...] = ()
    """What was too long and stands as a link."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self.offset == 0 and self.end == self.total and not self.replaced


def count_tokens(value: Any) -> int:
    """About how many tokens a value takes as JSON."""
    if _is_media(value):
        return IMAGE_TOKENS
    return _to_tokens(len(msgspec.json.encode(value)))


def count_content_tokens(content: tuple[Content, ...]) -> int:
    """About how many tokens content takes, as a model reads it."""
    return sum(
        _to_tokens(len(part.text) if part.text.isascii() else len(part.text.encode()))
        if isinstance(part, TextContent)
        else count_tokens(msgspec.to_builtins(part))
        for part in content
    )


def cut(
    value: Any,
    budget: int | None,
    link: Linker,
    *,
    path: Path | None = None,
    offset: int = 0,
    limit: int | None = None,
    replaces: bool = True,
) -> Page:
    """A page of plain data: what begins at `offset`, within so many tokens and so many items.

    Where to cut is found by `find_cut` if no `path` says it. A page always holds something, so that whoever reads on
    comes to the end: one that would be empty may be longer than the budget by one link. Without `replaces` a page
    rather ends before an item that is too long, or is empty.
    """
    path = find_cut(value) if path is None else path
    whole = follow(value, path)
    if isinstance(whole, str):
        room, frame, hidden = _make_room(value, path, "", budget, link)
        end = _find_text_end(whole, offset, limit, room)
        part: Any = whole[offset:end]
        return Page(
            value=put_part(frame, path, part),
            unit="characters",
            offset=offset,
            end=end,
            total=len(whole),
            replaced=hidden,
        )
    if not isinstance(whole, list | dict):
        return Page(value=value if offset == 0 else None, unit="items", offset=offset, end=1, total=1)
    room, frame, hidden = _make_room(value, path, type(whole)(), budget, link)
    wanted = min(len(whole), offset + limit) if limit is not None else len(whole)
    taken = list(_take(whole, path, offset, wanted, room, link if replaces else None))
    keys = [key for key, _, _ in taken]
    items = [item for _, item, _ in taken]
    part = dict(zip(keys, items, strict=True)) if isinstance(whole, dict) else items
    return Page(
        value=put_part(frame, path, part),
        unit="members" if isinstance(whole, dict) else "items",
        offset=offset,
        end=max(offset + len(taken), min(offset, len(whole))),
        total=len(whole),
        replaced=hidden + tuple((*path, key) for key, _, is_replaced in taken if is_replaced),
    )


def find_cut(value: Any) -> Path:
    """The list, text or object in which most of a value is: into objects goes who finds more there than beside it.

    It depends on the value alone, so that an offset means the same whatever the budget.
    """
    path: Path = ()
    while isinstance(value, dict) and value and len(path) < MAX_DEPTH:
        sizes = {name: len(msgspec.json.encode(member)) for name, member in value.items()}
        largest = max(sizes, key=sizes.__getitem__)
        beside = sum(min(size, LINK_BYTES) + len(name) for name, size in sizes.items() if name != largest)
        is_dominant = 2 * sizes[largest] > sum(sizes.values()) and beside <= FRAME_BYTES
        if not is_dominant or not isinstance(value[largest], str | list | dict):
            break
        path, value = (*path, largest), value[largest]
    return path


def follow(value: Any, path: Path) -> Any:
    """The part of a value that is at a path.

    Raises:
        LookupError: There is none.
    """
    for step in path:
        value = value[step]
    return value


def put_part(value: Any, path: Path, part: Any) -> Any:
    """The value with another part at a path; the value itself stays as it is."""
    if not path:
        return part
    changed = value.copy()
    changed[path[0]] = put_part(value[path[0]], path[1:], part)
    return changed


def to_pointer(path: Path) -> str:
    """A path as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def read_pointer(pointer: str, value: Any) -> Path:
    """A JSON Pointer as a path into a value.

    Raises:
        LookupError: It leads nowhere.
    """
    if pointer and not pointer.startswith("/"):
        raise LookupError(pointer)
    path: Path = ()
    for written in pointer.split("/")[1:]:
        step = written.replace("~1", "/").replace("~0", "~")
        is_place = isinstance(value, list) and step.isascii() and step.isdigit()
        if not is_place and not isinstance(value, dict):
            raise LookupError(pointer)
        key: str | int = int(step) if is_place else step
        path, value = (*path, key), value[key]
    return path


def _take(
    whole: Any, path: Path, offset: int, end: int, room: float, link: Linker | None
) -> Iterator[tuple[Any, Any, bool]]:
    """The items of a page with their keys, and whether each is replaced."""
    items = list(whole.items())[offset:end] if isinstance(whole, dict) else enumerate(whole[offset:end], offset)
    left = room
    for number, (key, item) in enumerate(items):
        tokens, stand_in = _count_member(key, item), None
        if tokens > room:
            if link is None:
                return
            stand_in = _replace((*path, key), item, tokens, link)
            tokens = tokens if stand_in is None else _count_member(key, stand_in)
        if tokens > left and number:
            return
        left -= tokens
        yield key, item if stand_in is None else stand_in, stand_in is not None


def _count_member(key: str | int, item: Any) -> int:
    """The tokens of an item with its comma, and of a member with its name too."""
    if _is_media(item):
        return IMAGE_TOKENS
    name = len(msgspec.json.encode(key)) + 1 if isinstance(key, str) else 0
    return _to_tokens(len(msgspec.json.encode(item)) + 1 + name)


def _replace(path: Path, item: Any, tokens: int, link: Linker) -> Any:
    """A link to an item, if that is shorter."""
    if item is None or isinstance(item, bool | int | float):
        return None
    stand_in = link(path, tokens)
    return stand_in if stand_in is not None and count_tokens(stand_in) < tokens else None


def _make_room(
    value: Any, path: Path, empty: Any, budget: int | None, link: Linker
) -> tuple[float, Any, tuple[Path, ...]]:
    """What is left for items beside the rest of the value, that rest, and the paths of what was too long in it.

    The rest gets half of the budget; beyond that its longest members become links.
    """
    frame, hidden = put_part(value, path, empty), list[Path]()
    if budget is None:
        return inf, frame, ()
    for side, tokens in _list_sides(value, path):
        if count_tokens(frame) <= budget // 2:
            break
        stand_in = _replace(side, follow(value, side), tokens, link)
        if stand_in is not None:
            frame = put_part(frame, side, stand_in)
            hidden.append(side)
    return max(budget - count_tokens(frame), budget / 4), frame, tuple(hidden)


def _list_sides(value: Any, path: Path) -> list[tuple[Path, int]]:
    """What is beside a path, longest first."""
    sides = [
        ((*path[:depth], name), count_tokens(member))
        for depth in range(len(path))
        if isinstance(parent := follow(value, path[:depth]), dict)
        for name, member in parent.items()
        if name != path[depth]
    ]
    return sorted(sides, key=lambda side: -side[1])


def _find_text_end(text: str, offset: int, limit: int | None, room: float) -> int:
    """Where a page of a text ends: after a line if one ends in its second half, else after a word, else anywhere."""
    end = len(text) if limit is None else min(len(text), offset + limit)
    if room == inf or end <= offset:
        return max(end, min(offset, len(text)))
    most_bytes = int(room * BYTES_PER_TOKEN)
    window = text[offset : min(end, offset + most_bytes)]
    fitting = bisect_right(range(1, len(window) + 1), most_bytes, key=lambda k: _written_length(window[:k]))
    if offset + fitting >= end:
        return end
    fitting = max(fitting, 1)
    for breaks in ("\n", " ", "\t"):
        found = window.rfind(breaks, fitting // 2, fitting)
        if found >= 0:
            return offset + found + 1
    return offset + fitting


def _written_length(text: str) -> int:
    return len(msgspec.json.encode(text)) - 2  # without the quotes


def _is_media(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in ("image", "audio") and {"data", "mimeType"} <= value.keys()


def _to_tokens(size_bytes: int) -> int:
    return -(-size_bytes // BYTES_PER_TOKEN)
