"""For the tests of plugins: look at tools and call them as ToolBox does, without a server and without a database."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from toolbox.definitions import ToolDefinition, ToolExample, ToolResult
from toolbox.errors import InvalidArguments
from toolbox.tools.arguments import compile_schema, find_violations
from toolbox.tools.base import Tool, ToolContext
from toolbox.tools.function import as_tool


def tools_by_name(offered: Iterable[Any]) -> dict[str, Tool]:
    """What the hook `toolbox_tools` gives back, by the names that ToolBox puts the plugin's name before."""
    return {tool.definition.name: tool for tool in map(as_tool, offered)}


def examples_by_query(tools: Mapping[str, Tool]) -> dict[str, tuple[str, ToolExample]]:
    """Every example with the name of its tool, under a key that says which it is."""
    return {
        f"{name}: {example.query}": (name, example)
        for name, tool in tools.items()
        for example in tool.definition.examples
    }


def find_gaps(definition: ToolDefinition) -> list[str]:
    """What a good definition has and this one lacks: what callers read, and what search finds it by."""
    lacks = {
        "a title": not definition.title,
        "a description of 50 to 160 characters": not 50 <= len(definition.description) <= 160,
        "two tags": len(definition.tags) < 2,
        "two examples": len(definition.examples) < 2,
        "annotations.read_only_hint": definition.annotations.read_only_hint is None,
    }
    parameters = definition.input_schema.get("properties", {})
    undescribed = [f"a description of {name}" for name in parameters if not parameters[name].get("description")]
    return [part for part, is_lacking in lacks.items() if is_lacking] + undescribed


async def call_tool(tool: Any, arguments: dict[str, Any], *, timeout_seconds: float = 10.0) -> ToolResult:
    """Call a function or a Tool with arguments that come as JSON; a sync function runs in a thread.

    Raises:
        InvalidArguments: The arguments do not fit the tool's schema.
        ToolError: The tool says that the call failed; whatever else it raises comes out as it is.
    """
    wrapped = as_tool(tool)
    name = wrapped.definition.name
    received = msgspec.json.decode(msgspec.json.encode(arguments))
    if violations := find_violations(compile_schema(wrapped.definition.input_schema), received):
        raise InvalidArguments(name, violations)
    context = ToolContext(
        tool_name=name,
        execution_id="test",
        caller="test",
        timeout_seconds=timeout_seconds,
        run_blocking=_run_in_a_thread,
    )
    async with asyncio.timeout(timeout_seconds):
        result: ToolResult = await wrapped.call(received, context)
    return result


async def _run_in_a_thread(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)
