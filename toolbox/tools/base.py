"""What every kind of tool is: a definition and a way to run it."""

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

from toolbox.definitions import ToolDefinition, ToolResult

P = ParamSpec("P")
T = TypeVar("T")


class ToolContext:
    """What a tool may know of the call it serves.

    ToolBox makes one for each call. A tool that wants it names a parameter with this type; callers never see that one.
    """

    def __init__(
        self,
        *,
        tool_name: str,
        execution_id: str,
        caller: str,
        timeout_seconds: float,
        run_blocking: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self.tool_name = tool_name
        self.execution_id = execution_id
        """The id under which the call is recorded."""
        self.caller = caller
        """Who is calling, as shown in the history: a key's name, or "anonymous"."""
        self.timeout_seconds = timeout_seconds
        """The whole time that the call may take; when it is over, the call is cancelled."""
        self._run_blocking = run_blocking

    async def run_blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in ToolBox's own threads, so that other calls go on meanwhile."""
        result: T = await self._run_blocking(lambda: function(*args, **kwargs))
        return result


@runtime_checkable
class Tool(Protocol):
    """A tool of any kind. The executor knows nothing more of it."""

    @property
    def definition(self) -> ToolDefinition:
        """What callers see; it does not change while the tool is registered."""
        ...

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the tool once, with arguments that already fit its input schema.

        Raises:
            ToolError: The call failed for a reason that the caller should read.
        """
        ...
