"""Tools that run as tasks, and one that never does."""

import asyncio
from typing import Annotated, Literal

from msgspec import Meta

from toolbox import Elicitation, MissingCapability, ToolContext, ToolError, tool
from toolbox_conformance.asking import NAME, form

CONFIRM = form("confirm", confirm={"type": "boolean"})
Seconds = Annotated[float, Meta(ge=0, le=3600)]


@tool(prefix=False)
async def greet(name: str) -> str:
    """Greet somebody, at once."""
    return f"Hello, {name}!"


@tool(prefix=False, task="optional")
async def slow_compute(seconds: Seconds, label: str = "") -> str:
    """Take some seconds."""
    await asyncio.sleep(seconds)
    return f"{label or 'computed'}: done after {seconds:g} s"


@tool(prefix=False, task="required")
async def failing_job() -> str:
    """Fail after a second."""
    await asyncio.sleep(1)
    raise ToolError("this job always fails")


@tool(prefix=False, task="optional")
async def protocol_error_job(missing: Literal["elicitation", "sampling", "roots"] = "roots") -> str:
    """End with an error of the protocol instead of a result."""
    raise MissingCapability(missing, "this job always asks for more than there is")


@tool(prefix=False, task="optional")
async def confirm_delete(filename: str, context: ToolContext) -> str:
    """Ask before something would be deleted."""
    answer = await context.elicit("confirm", f"Delete {filename}?", CONFIRM)
    return f"deleted {filename}" if answer.content.get("confirm") else f"kept {filename}"


@tool(prefix=False, task="optional")
async def multi_input(context: ToolContext) -> str:
    """Ask two things at once."""
    answers = await context.ask(
        {
            "name": Elicitation(message="What is your name?", requested_schema=NAME),
            "confirm": Elicitation(message="Is that so?", requested_schema=CONFIRM),
        }
    )
    return f"{len(answers)} answers"


@tool(task="escalates")
async def test_tool_with_task(context: ToolContext) -> str:
    """Ask for a name, and greet it in a task."""
    answer = await context.elicit("user_name", "What is your name?", NAME)
    await context.become_task()
    return f"Hello, {answer.content.get('name')}!"


TOOLS = [greet, slow_compute, failing_job, protocol_error_job, confirm_delete, multi_input, test_tool_with_task]
