"""Plain data that plugins and domains share: what a tool is, and what a call of it gives back.

Nothing here does I/O or knows a database; every struct is frozen and encodes with msgspec.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from toolbox.errors import ToolError

TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a tool name looks like: hosts prefix names, and many model providers cap them at 64 characters."""

ANONYMOUS = "anonymous"
"""The caller of whom nothing is known."""

Moment = Annotated[datetime, Meta(tz=True)]
"""A point in time, as JSON: RFC 3339 with its offset."""


class TextContent(Struct, frozen=True, tag_field="type", tag="text"):
    """Text for the model to read."""

    text: str


class ImageContent(Struct, frozen=True, tag_field="type", tag="image", rename="camel"):
    """An image; `data` is base64."""

    data: str
    mime_type: str


class AudioContent(Struct, frozen=True, tag_field="type", tag="audio", rename="camel"):
    """A sound; `data` is base64."""

    data: str
    mime_type: str


class ResourceLink(Struct, frozen=True, tag_field="type", tag="resource_link", rename="camel", omit_defaults=True):
    """A pointer to a resource that the caller may read later."""

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None


class ResourceContents(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The contents of a resource: exactly one of `text` and `blob` (base64)."""

    uri: str
    mime_type: str | None = None
    text: str | None = None
    blob: str | None = None


class EmbeddedResource(Struct, frozen=True, tag_field="type", tag="resource"):
    """A resource inside the result itself."""

    resource: ResourceContents


Content = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource


class ToolResult(Struct, frozen=True):
    """What a call gave back: content for the model, and the value itself where there is one."""

    content: tuple[Content, ...] = ()
    structured: Any = UNSET
    is_error: bool = False

    @classmethod
    def of(cls, value: Any) -> "ToolResult":
        """Wrap any value that msgspec can encode; text stays text, everything else is JSON.

        Raises:
            TypeError: The value cannot be encoded as JSON.
            ToolError: A number in it is NaN or infinite.
        """
        encoded = msgspec.json.encode(value)
        if b"null" in encoded and (path := find_non_finite(value)) is not None:
            raise ToolError(f"the result cannot be given: {path or 'its value'} is NaN or infinite, unknown to JSON")
        plain = msgspec.json.decode(encoded)  # what the caller will read: a tuple, for one, is a list there
        return cls(content=(TextContent(plain if isinstance(plain, str) else encoded.decode()),), structured=plain)

    @property
    def value(self) -> Any:
        """The value that REST callers and the history see."""
        return msgspec.to_builtins(self.content) if self.structured is UNSET else self.structured


class ToolAnnotations(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Hints about what a call does to the world (MCP 2026-07-28, ToolAnnotations); unset means unknown."""

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


class ToolExample(Struct, frozen=True, omit_defaults=True):
    """A question that the tool answers, with the call that answers it; the question is searched too."""

    query: str
    arguments: dict[str, Any] | UnsetType = UNSET
    result: Any = UNSET


TaskMode = Literal["optional", "required", "escalates"]
"""How a tool runs as a task of MCP: where the client has tasks, nowhere else, or from when its code asks for it."""


class ToolDefinition(Struct, frozen=True, kw_only=True):
    """Everything ToolBox knows of a tool but how to run it.

    `input_schema` and `output_schema` are JSON Schema 2020-12; the input's root has type "object".
    """

    name: str
    description: str = ""
    input_schema: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object"})
    output_schema: dict[str, Any] | None = None
    title: str | None = None
    long_description: str | None = None
    author: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    examples: tuple[ToolExample, ...] = ()
    version: str = "1.0.0"
    annotations: ToolAnnotations = ToolAnnotations()
    metadata: dict[str, Any] = {}
    timeout_seconds: float | None = None
    task: TaskMode | UnsetType = UNSET
    """Unset for most, and then no part of the fingerprint; no version of MCP shows it to clients."""

    def fingerprint(self) -> bytes:
        """16 bytes that change when anything in the definition changes."""
        encoded = msgspec.json.encode(self, order="deterministic")
        return hashlib.blake2b(encoded, digest_size=16).digest()


def find_non_finite(value: Any) -> str | None:
    """Where the first number that JSON cannot carry is (a JSON Pointer, RFC 6901), if there is one.

    msgspec writes such a number as null without a word, so only a value whose JSON holds a null need be looked at.
    """
    return _find_non_finite(msgspec.to_builtins(value), "")


def _find_non_finite(value: Any, path: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    if isinstance(value, dict):
        parts = [(str(key).replace("~", "~0").replace("/", "~1"), part) for key, part in value.items()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = [(str(index), part) for index, part in enumerate(value)]
    else:
        return None
    found = (_find_non_finite(part, f"{path}/{name}") for name, part in parts)
    return next((place for place in found if place is not None), None)


def shorten_name(name: str) -> str:
    """Make a name safe: other characters become `_`, and a long one ends in a hash of the whole.

    Two long names that differ only at the end stay different; a name that is safe stays as it is.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "tool"
    if len(safe) <= 64:
        return safe
    return f"{safe[:55]}_{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def unique_name(name: str, taken: "Mapping[str, Any] | set[str]", first: int = 2) -> str:
    """The safe form of a name, or with `_2`, `_3` ... behind it where that is taken.

    Whoever names many alike gives the `first` number to try, so that those before it are not tried again.
    """
    safe = shorten_name(name)
    candidate, number = safe, first
    while candidate in taken:
        candidate = f"{safe[: 63 - len(str(number))]}_{number}"
        number += 1
    return candidate
