"""For the tests of plugins: call a tool as ToolBox does, without a server and without a database."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from toolbox.definitions import ToolResult
from toolbox.errors import InvalidArguments
from toolbox.tools.arguments import compile_schema, find_violations
from toolbox.tools.base import ToolContext
from toolbox.tools.function import as_tool


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
