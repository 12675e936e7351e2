"""Tools made of steps over other tools, so that an agent's routine becomes one call.

A step's arguments may refer to what the call was given and to what earlier steps gave back, in JMESPath. Steps that do
not refer to each other run side by side. Each is a call of its own: allowed or refused for the same caller, recorded.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from toolbox.definitions import TOOL_NAME, TextContent, ToolDefinition, ToolResult
from toolbox.errors import InvalidDefinition, ToolError
from toolbox.expressions import Selection
from toolbox.tools.base import ToolContext
from toolbox.tools.kinds import Implementation, read_implementation
from toolbox.tools.validity import check_extent

REFERENCE = "$from"
"""The one member of an object that stands for what an expression finds: `{"$from": "steps.search.items[0].id"}`."""
SIDE_BY_SIDE = 8
"""How many steps of a call run at the same time."""
MAX_STEPS = 50


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A call of another tool."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    tool: str
    arguments: dict[str, Any] = {}
    after: tuple[str, ...] = ()
    """Steps that come before it, though it refers to none of their results."""
    timeout_seconds: Annotated[float, Meta(gt=0)] | None = None


class ComposedImplementation(Implementation, frozen=True, tag_field="kind", tag="composed"):
    """Steps, and what of them is the result: that of the last step if nothing is said."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=MAX_STEPS)]
    result: Any = UNSET


class ComposedKind:
    """The kind "composed"."""

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """See Kind."""
        self.create(definition, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> "ComposedTool":
        """See Kind."""
        return ComposedTool(definition, read_implementation(ComposedImplementation, implementation))


class ComposedTool:
    """A tool that runs its steps."""

    def __init__(self, definition: ToolDefinition, implementation: ComposedImplementation) -> None:
        """Read the steps, and which of them wait for which.

        Raises:
            InvalidDefinition: They cannot be used.
        """
        self.definition = definition
        self.concurrency = implementation.concurrency
        self._steps = implementation.steps
        self._arguments = dict[str, _Value]()
        self._before = dict[str, frozenset[str]]()
        for number, step in enumerate(self._steps):
            where = f"implementation/steps/{number}"
            earlier = list(self._before)
            _check_step(step, where, earlier, definition)
            value = self._arguments[step.name] = _Value(step.arguments, f"{where}/arguments", earlier)
            self._before[step.name] = value.steps | set(step.after)
        last = {REFERENCE: f"steps.{self._steps[-1].name}"}
        result = last if implementation.result is UNSET else implementation.result
        self._result = _Value(result, "implementation/result", list(self._before))

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the steps; the first one that fails stops the others."""
        results = dict[str, Any]()
        document = {"input": arguments, "steps": results}
        done = {step.name: asyncio.Event() for step in self._steps}
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def run(number: int, step: Step) -> None:
            for name in self._before[step.name]:
                await done[name].wait()
            async with places:
                results[step.name] = await self._run_step(number, step, document, context)
            done[step.name].set()

        try:
            async with asyncio.TaskGroup() as group:
                for number, step in enumerate(self._steps, 1):
                    group.create_task(run(number, step))
        except BaseExceptionGroup as failures:
            raise _first_of(failures) from None
        return ToolResult.of(self._result.evaluate(document))

    async def _run_step(self, number: int, step: Step, document: dict[str, Any], context: ToolContext) -> Any:
        try:
            arguments = self._arguments[step.name].evaluate(document)
            called = await context.call(step.tool, arguments, timeout_seconds=step.timeout_seconds)
        except ToolError as error:
            raise ToolError(f"step {number}, {step.name}: {error}") from error
        return _to_value(called)


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure: those that come later are of steps which were stopped for it."""
    first = failures.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _to_value(result: ToolResult) -> Any:
    """What expressions see: the value, else the text."""
    if result.structured is UNSET and all(isinstance(part, TextContent) for part in result.content):
        return "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    return result.value


def _check_step(step: Step, where: str, earlier: list[str], definition: ToolDefinition) -> None:
    if step.name in earlier:
        raise InvalidDefinition(f"{where}/name: another step is called {step.name!r} too")
    if not TOOL_NAME.fullmatch(step.tool):
        raise InvalidDefinition(f"{where}/tool: {step.tool[:100]!r} is no name of a tool")
    if step.tool == definition.name:
        raise InvalidDefinition(f"{where}/tool: a tool cannot be a step of itself")
    for name in step.after:
        if name not in earlier:
            raise InvalidDefinition(f"{where}/after: there is no step {name[:100]!r} before this one")


class _Value:
    """A JSON value with expressions in it, and the steps that it waits for."""

    def __init__(self, value: Any, where: str, earlier: list[str]) -> None:
        check_extent(value, where)
        self.steps: frozenset[str] = frozenset()
        self._earlier = earlier
        self._value = self._read(value, where)

    def evaluate(self, document: Mapping[str, Any]) -> Any:
        return _evaluate(self._value, document)

    def _read(self, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [self._read(member, f"{where}/{index}") for index, member in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if value.keys() != {REFERENCE}:
            return {name: self._read(member, f"{where}/{name}") for name, member in value.items()}
        expression = value[REFERENCE]
        if not isinstance(expression, str) or not expression or expression.startswith("/"):
            raise InvalidDefinition(f"{where}/{REFERENCE}: a JMESPath is expected, as input.city or steps.first.id")
        selection = Selection(expression, f"{where}/{REFERENCE}")
        self._wait_for(selection, where)
        return selection

    def _wait_for(self, selection: Selection, where: str) -> None:
        named, sees_all = selection.find_members("steps")
        for name in named:
            if name not in self._earlier:
                raise InvalidDefinition(f"{where}/{REFERENCE}: there is no step {name[:100]!r} before this one")
        self.steps |= frozenset(self._earlier) if sees_all else named


def _evaluate(value: Any, document: Mapping[str, Any]) -> Any:
    if isinstance(value, Selection):
        return value.select(document)
    if isinstance(value, dict):
        return {name: _evaluate(member, document) for name, member in value.items()}
    return [_evaluate(member, document) for member in value] if isinstance(value, list) else value
