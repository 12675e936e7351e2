"""Plain data that plugins and domains share: what a tool is, and what a call of it gives back.

Nothing here does I/O or knows a database; every struct is frozen and encodes with msgspec.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast

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
    """Text for the model to read. `annotations` and `_meta`, here and below, are what MCP's Annotations say of it."""

    text: str
    annotations: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


class ImageContent(Struct, frozen=True, tag_field="type", tag="image", rename="camel"):
    """An image; `data` is base64."""

    data: str
    mime_type: str
    annotations: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


class AudioContent(Struct, frozen=True, tag_field="type", tag="audio", rename="camel"):
    """A sound; `data` is base64."""

    data: str
    mime_type: str
    annotations: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


class ResourceLink(Struct, frozen=True, tag_field="type", tag="resource_link", rename="camel", omit_defaults=True):
    """A pointer to a resource that the caller may read later."""

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | UnsetType = UNSET
    icons: list[Any] | UnsetType = UNSET
    annotations: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


class ResourceContents(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The contents of a resource: exactly one of `text` and `blob` (base64)."""

    uri: str
    mime_type: str | None = None
    text: str | None = None
    blob: str | None = None
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


class EmbeddedResource(Struct, frozen=True, tag_field="type", tag="resource"):
    """A resource inside the result itself."""

    resource: ResourceContents
    annotations: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


Content = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource


class ForeignContent(dict[str, Any]):
    """Content from another server of a kind, or with members, that ToolBox does not know; it travels as it came."""

    @property
    def text(self) -> str:
        """What of it can be read as text."""
        return str(self.get("text", ""))


_KINDS: Mapping[str, type[Content]] = {
    "text": TextContent,
    "image": ImageContent,
    "audio": AudioContent,
    "resource_link": ResourceLink,
    "resource": EmbeddedResource,
}
_MEMBERS = {name: {"type", *kind.__struct_encode_fields__} for name, kind in _KINDS.items()}


def read_content(block: dict[str, Any]) -> Content:
    """A block of content in its own form, or as it is where that would lose something."""
    kind = _KINDS.get(block.get("type", ""))
    if kind is not None and block.keys() <= _MEMBERS[block["type"]]:
        try:
            content = msgspec.convert(block, kind)
        except msgspec.ValidationError:
            return cast("Content", ForeignContent(block))
        if not isinstance(content, EmbeddedResource) or block["resource"].keys() <= _RESOURCE_MEMBERS:
            return content
    return cast("Content", ForeignContent(block))


_RESOURCE_MEMBERS = set(ResourceContents.__struct_encode_fields__)


class ToolResult(Struct, frozen=True):
    """What a call gave back: content for the model, and the value itself where there is one.

    `metadata` is for the client's program, and travels as `_meta`.
    """

    content: tuple[Content, ...] = ()
    structured: Any = UNSET
    is_error: bool = False
    metadata: dict[str, Any] = {}

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


class ClientCredentials(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How ToolBox gets its own token for an upstream (OAuth 2.1, client credentials)."""

    client_id: str
    client_secret: str
    scope: str | None = None
    issuer: str | None = None
    """The authorization server that gets the secret, whatever the upstream names; else it is where the upstream is."""


class Upstream(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An MCP server whose tools ToolBox offers: a command that is run (stdio), or a URL (http or sse).

    In `args`, `env`, `headers`, `url` and `auth`, `${secret:name}` stands for a secret of ToolBox's and `${NAME}` for a
    variable of its environment; both are looked up when the server is connected to.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
    transport: Literal["stdio", "http", "sse"] = "stdio"
    """Where there is a URL and no command, http or sse: what the URL looks like, unless that is said."""
    command: str | None = None
    source: str | None = None
    """Where its program comes from, if ToolBox installs it: `git+https://HOST/PATH@REF`, `pypi:NAME==VERSION`,
    `npm:NAME@VERSION`; `command` then names one of its programs."""
    source_key: str | None = None
    """What opens its repository: a token, or `user:password`, for https; a private key for ssh."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    auth: ClientCredentials | None = None
    title: str | None = None
    description: str | None = None
    enabled: bool = True
    include: tuple[str, ...] = ()
    """The server's own names of the tools to offer, with `*` and `?`; none means all."""
    exclude: tuple[str, ...] = ()
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,40}$")] | None = None
    """What leads the names of its tools, instead of the upstream's own name; empty for nothing."""
    merge: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")] | None = None
    """A name that several upstreams share; those of their tools that are equal are offered once, as its tools."""
    session: Literal["shared", "per_caller", "serial"] = "shared"
    """Who shares a session: all callers, the calls of one caller, or all callers one after another."""
    era: Literal["auto", "legacy", "modern"] = "auto"
    connect_seconds: Annotated[float, Meta(gt=0, le=600)] = 30.0
    list_seconds: Annotated[float, Meta(gt=0, le=600)] = 30.0
    call_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None
    """How long a call may take, instead of TOOL_TIMEOUT."""
    idle_seconds: Annotated[float, Meta(gt=0)] = 600.0
    """After how long without a call its sessions are closed, and its process ends."""
    refresh_seconds: Annotated[float, Meta(ge=60)] = 3600.0
    """How often its lists are read anew without being told that they changed; one that is stopped starts for that."""
    concurrency: Annotated[int, Meta(ge=1, le=1000)] = 16
    """How many of its calls run at a time in one process of ToolBox; others wait."""
    restarts: Annotated[int, Meta(ge=0, le=100)] = 5
    """How often in a row it may fail to start, or die, until it counts as failed."""
    backoff_seconds: Annotated[float, Meta(gt=0, le=600)] = 1.0
    """The pause after the first failure; it doubles with each."""
    trust: Literal["open", "pinned", "reviewed"] = "open"
    """What it may change by itself: everything; new tools only; nothing, until somebody approves."""

    def __post_init__(self) -> None:
        """A URL that stands alone says how it is reached."""
        if self.url is not None and self.command is None and self.source is None and self.transport == "stdio":
            msgspec.structs.force_setattr(self, "transport", guess_transport(self.url))


def guess_transport(url: str) -> Literal["http", "sse"]:
    """How an MCP server at a URL is reached, where nobody says it."""
    return "sse" if re.search(r"/sse/?($|\?)", url) else "http"


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
