"""What a toolset is, as operators write it down. Pure module: no I/O."""

import re
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from toolbox.errors import InvalidRequest

TOOLSET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a toolset's name looks like: it is part of a URL, and of the name of a server in a registry."""

RESERVED_NAME = "toolbox"

_VERSION_RANGE = re.compile(r"[\^~<>=*|\s]|(^|\.)[xX](\.|$)")

Pattern = Annotated[str, Meta(min_length=1, max_length=256, description="* is any text, ? any one character.")]


class Rule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Speaks of the tools for which all that it gives holds."""

    name: Pattern | None = None
    category: Pattern | None = None
    source: Pattern | None = None
    tags: Annotated[tuple[str, ...], Meta(max_length=50, description="The tool must have all of them.")] = ()


class Rules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool is in the toolset if a rule includes it and none excludes it."""

    include: tuple[Rule, ...]
    exclude: tuple[Rule, ...] = ()


CallLimit = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class ToolsetLimits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a toolset is called, by all callers together; null limits nothing."""

    calls_per_minute: CallLimit | None = None
    calls_per_hour: CallLimit | None = None
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None,
        Meta(description="How many of its calls run at a time in one process; others wait."),
    ] = None


class ToolsetDefinition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A toolset as it is to be."""

    rules: Rules
    title: Annotated[str, Meta(max_length=100)] | None = None
    description: Annotated[str, Meta(max_length=1000)] = ""
    version: Annotated[str, Meta(min_length=1, max_length=255)] = "1.0.0"
    is_direct: Annotated[
        bool, Meta(description="Whether clients see its tools themselves, or find_tool and its like.")
    ] = True
    asks_before_destructive: Annotated[
        bool, Meta(description="Whether the user is asked before a tool runs that may destroy something.")
    ] = False
    max_tokens: Annotated[
        Annotated[int, Meta(ge=100, le=1_000_000)] | None, Meta(description="How long a result may be.")
    ] = None
    limits: ToolsetLimits | None = None


class Toolset(Struct, frozen=True, kw_only=True):
    """A toolset as it is."""

    id: int
    name: str
    definition: ToolsetDefinition
    tools: int
    """How many tools are in it."""
    revision: int
    """Grows with every change that a client can see: of the toolset, its members or their definitions."""
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    @property
    def shown_title(self) -> str:
        """What people read."""
        return self.definition.title or self.name


def check_toolset(name: str, definition: ToolsetDefinition) -> None:
    """Refuse what the shape of a definition cannot rule out.

    Raises:
        InvalidRequest: Says what is wrong with which toolset.
    """
    if not TOOLSET_NAME.fullmatch(name):
        raise InvalidRequest(
            f"toolset {name[:100]!r}: the name must be 1 to 64 letters, digits, - and _, beginning with one of the "
            "first two"
        )
    if name == RESERVED_NAME:
        raise InvalidRequest(f"toolset {name!r}: this is the name of the server as a whole; choose another")
    if not definition.rules.include:
        raise InvalidRequest(f"toolset {name!r}: rules.include is empty, so no tool can be in it")
    for kind, rules in (("include", definition.rules.include), ("exclude", definition.rules.exclude)):
        if Rule() in rules:
            position = rules.index(Rule())
            raise InvalidRequest(
                f'toolset {name!r}: rules.{kind}[{position}] says nothing; {{"name": "*"}} speaks of every tool'
            )
    if definition.version == "latest" or _VERSION_RANGE.search(definition.version):
        raise InvalidRequest(f"toolset {name!r}: the version {definition.version!r} must be one version, such as 1.2.0")


def to_like(pattern: str | None) -> str | None:
    """A pattern as PostgreSQL's LIKE writes it."""
    if pattern is None:
        return None
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%").replace("?", "_")
