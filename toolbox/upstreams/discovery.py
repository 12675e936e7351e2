"""What a server offers becomes definitions of ToolBox's. Pure module: no I/O.

A tool that cannot be used (a schema that nothing can check, a name that is none) is left out, with the reason; the
others are offered.
"""

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.definitions import ToolAnnotations, ToolDefinition, Upstream, shorten_name, unique_name
from toolbox.errors import InvalidDefinition
from toolbox.tools.validity import check_extent, compile_error
from toolbox.upstreams.tool import UpstreamImplementation

MAX_TOOL_BYTES = 256 * 1024
KEPT = ("_meta", "icons", "execution")
"""What a server says of a tool that ToolBox has no words for; it is kept with the tool."""

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_HINTS = {
    "readOnlyHint": "read_only_hint",
    "destructiveHint": "destructive_hint",
    "idempotentHint": "idempotent_hint",
    "openWorldHint": "open_world_hint",
}


class LeftOut(Struct, frozen=True):
    """A tool that is not offered, and why."""

    tool: str
    reason: str


class Offer(Struct, frozen=True):
    """The tools of an upstream as ToolBox offers them, and how each is run."""

    definitions: tuple[ToolDefinition, ...] = ()
    implementations: dict[str, dict[str, Any]] = {}
    left_out: tuple[LeftOut, ...] = ()


def read_offer(
    upstream: Upstream, tools: Sequence[Mapping[str, Any]], *, taken: Collection[str], known: Mapping[str, str]
) -> Offer:
    """The tools that a server has listed.

    `taken` are names that belong to others; `known` the names that its tools have already, by what the server calls
    them: those stay.
    """
    definitions, implementations, left_out = list[ToolDefinition](), dict[str, dict[str, Any]](), list[LeftOut]()
    names, seen = set(taken) | set(known.values()), set[str]()
    for tool in tools:
        original = tool.get("name")
        if not isinstance(original, str) or not original or original in seen:
            left_out.append(LeftOut(str(original)[:200], "it has no name" if not original else "another has its name"))
            continue
        seen.add(original)
        if not is_wanted(upstream, original):
            continue
        try:
            definition = _read_tool(upstream, original, tool)
        except InvalidDefinition as error:
            left_out.append(LeftOut(original[:200], error.message))
            continue
        name = known.get(original) or unique_name(_full_name(upstream, original), names)
        names.add(name)
        definitions.append(msgspec.structs.replace(definition, name=name))
        implementation = UpstreamImplementation(upstream=upstream.name, tool=original)
        implementations[name] = msgspec.to_builtins(implementation)
    return Offer(tuple(definitions), implementations, tuple(left_out))


def is_wanted(upstream: Upstream, tool: str) -> bool:
    """Whether the operator wants a tool, by what the server calls it."""
    if any(fnmatch.fnmatchcase(tool, pattern) for pattern in upstream.exclude):
        return False
    return not upstream.include or any(fnmatch.fnmatchcase(tool, pattern) for pattern in upstream.include)


def _full_name(upstream: Upstream, tool: str) -> str:
    prefix = upstream.name if upstream.prefix is None else upstream.prefix
    return shorten_name(f"{prefix}__{tool}" if prefix else tool)


def _read_tool(upstream: Upstream, original: str, tool: Mapping[str, Any]) -> ToolDefinition:
    check_extent(dict(tool), "the tool")
    if len(msgspec.json.encode(tool)) > MAX_TOOL_BYTES:
        raise InvalidDefinition(f"its definition has more than {MAX_TOOL_BYTES:,} bytes")
    tool = _storable(tool)
    hints = tool.get("annotations")
    hints = hints if isinstance(hints, dict) else {}
    annotations = ToolAnnotations(
        title=hints["title"] if isinstance(hints.get("title"), str) else None,
        **{ours: hints[theirs] for theirs, ours in _HINTS.items() if isinstance(hints.get(theirs), bool)},
    )
    metadata: dict[str, Any] = {"upstream": upstream.name, "tool": original}
    metadata |= {name: tool[name] for name in KEPT if name in tool}
    return ToolDefinition(
        name=original,
        title=_text(tool, "title") or annotations.title,
        description=_text(tool, "description") or "",
        input_schema=_read_input(tool.get("inputSchema")),
        output_schema=_read_output(tool.get("outputSchema"), metadata),
        category=upstream.name,
        annotations=annotations,
        metadata=metadata,
        timeout_seconds=upstream.call_seconds,
    )


def _read_input(given: Any) -> dict[str, Any]:
    if given is None:
        return {"type": "object"}
    if not isinstance(given, dict) or given.get("type", "object") != "object":
        raise InvalidDefinition("its input schema is not one of an object")
    schema: dict[str, Any] = {"type": "object", **given}
    if error := compile_error(schema):
        raise InvalidDefinition(f"its input schema is not JSON Schema: {error}")
    return schema


def _read_output(schema: Any, metadata: dict[str, Any]) -> dict[str, Any] | None:
    """An output schema that cannot be used is none: nothing is promised then, and it stays to be looked at."""
    if not isinstance(schema, dict):
        return None
    if compile_error(schema):
        metadata["output_schema"] = schema
        return None
    return schema


def _text(tool: Mapping[str, Any], member: str) -> str | None:
    value = tool.get(member)
    return value if isinstance(value, str) else None


def _storable(value: Any) -> Any:
    """The same without characters that PostgreSQL cannot store."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {_storable(name): _storable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_storable(member) for member in value]
    return value
