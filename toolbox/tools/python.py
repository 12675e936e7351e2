"""Tools that are functions of Python modules which the operator allows; in this process, or in one of their own."""

import inspect
import math
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from toolbox.definitions import ToolDefinition, ToolResult
from toolbox.errors import InvalidDefinition, ToolboxError, ToolError
from toolbox.tools import python_worker
from toolbox.tools.base import ToolContext
from toolbox.tools.kinds import Implementation, read_implementation
from toolbox.tools.processes import Limits, Workshop, run_process

Audit: TypeAlias = Callable[[ToolContext, str], Awaitable[None]]
"""Writes down that a function is about to run, and for whom."""

_WORKER = str(Path(python_worker.__file__).resolve())


class FunctionCrashed(Exception):
    """It did so in its own process; the message is the traceback of that."""


class PythonImplementation(Implementation, frozen=True, tag_field="kind", tag="python"):
    """A function, which gets the arguments by their names."""

    function: Annotated[str, Meta(max_length=300)]
    """`module.function`."""
    isolated: bool = False
    """Whether it runs in a process of its own, with limits: for what is heavy, or not trusted wholly."""
    memory_mb: Annotated[int, Meta(ge=16, le=65536)] = 1024
    max_output_bytes: Annotated[int, Meta(ge=1, le=32 * 1024 * 1024)] = 8 * 1024 * 1024


class PythonKind:
    """The kind "python"."""

    def __init__(
        self, *, is_enabled: bool, allowed: Sequence[str], audit: Audit, workshop: Workshop, path: str
    ) -> None:
        """`allowed` are modules; what lies below one is allowed with it."""
        self._is_enabled = is_enabled
        self._allowed = tuple(allowed)
        self._audit = audit
        self._workshop = workshop
        self._path = path

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """See Kind; the function itself is looked up too."""
        read = read_implementation(PythonImplementation, implementation)
        self.find(read.function, is_loaded=not read.isolated)
        self.create(definition, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> "PythonTool":
        """See Kind."""
        return PythonTool(definition, read_implementation(PythonImplementation, implementation), self)

    def find(self, function: str, *, is_loaded: bool) -> Callable[..., Any] | None:
        """The function, if it is allowed; it is looked for where it `is_loaded`.

        Raises:
            InvalidDefinition: It is not allowed, or there is none.
        """
        if not self._is_enabled:
            raise InvalidDefinition("Python functions are switched off here (PYTHON_EXECUTOR_ENABLED)")
        try:
            python_worker.check_allowed(function, self._allowed)
            return python_worker.find_function(function, self._allowed) if is_loaded else None
        except python_worker.Refused as error:
            raise InvalidDefinition(f"implementation/function: {error}") from error

    async def run(self, tool: PythonImplementation, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run a function once, when that is written down.

        Raises:
            ToolError: It is not allowed any more, or failed.
            FunctionCrashed: It raised something else, in a process of its own.
        """
        try:
            function = self.find(tool.function, is_loaded=not tool.isolated)
        except InvalidDefinition as error:
            raise ToolError(error.message) from error
        try:
            await self._audit(context, tool.function)
        except ToolboxError as error:
            raise ToolError(f"it did not run, because that cannot be written down: {error.for_callers}") from error
        if function is None:
            return await self._run_apart(tool, arguments, context)
        if inspect.iscoroutinefunction(function):
            return ToolResult.of(await function(**arguments))
        return ToolResult.of(await context.run_blocking(function, **arguments))

    async def _run_apart(self, tool: PythonImplementation, arguments: Any, context: ToolContext) -> ToolResult:
        wanted = {"function": tool.function, "allowed": self._allowed, "arguments": arguments}
        finished = await run_process(
            [sys.executable, "-I", _WORKER],
            workshop=self._workshop,
            environment={"PATH": self._path, "LANG": "C.UTF-8"},
            limits=Limits(
                cpu_seconds=math.ceil(context.timeout_seconds) + 1,
                memory_bytes=tool.memory_mb * 1024 * 1024,
                output_bytes=tool.max_output_bytes,
            ),
            stdin=msgspec.json.encode(wanted),
        )
        try:
            answer = msgspec.json.decode(finished.output, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise ToolError(f"{tool.function} took its process with it (status {finished.status})") from error
        if "failed" in answer:
            raise ToolError(f"{tool.function}: {answer['failed']!s:.2000}")
        if "crashed" in answer:
            raise FunctionCrashed(answer["crashed"])
        return ToolResult.of(answer["result"])


class PythonTool:
    """A tool that runs one function."""

    def __init__(self, definition: ToolDefinition, implementation: PythonImplementation, kind: PythonKind) -> None:
        self.definition = definition
        self.concurrency = implementation.concurrency
        self._implementation = implementation
        self._kind = kind

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the function."""
        return await self._kind.run(self._implementation, arguments, context)
