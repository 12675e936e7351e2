"""Tools that say something before they answer."""

import asyncio

from toolbox import ToolContext

PAUSE_SECONDS = 0.05


async def test_tool_with_progress(context: ToolContext) -> str:
    """Report progress three times."""
    for progress in (0, 50, 100):
        await context.report_progress(progress, 100, f"Completed step {progress} of 100")
        await asyncio.sleep(PAUSE_SECONDS)
    return "done"


async def test_tool_with_logging(context: ToolContext) -> str:
    """Send three lines to the client's log."""
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.log("info", line)
        await asyncio.sleep(PAUSE_SECONDS)
    return "done"


async def test_logging_tool(context: ToolContext) -> str:
    """Send a line to a client that wants it."""
    await context.log("info", "a line for whoever asked for lines")
    return "done"


async def test_trigger_tool_change(context: ToolContext) -> str:
    """Say that the list of tools has changed."""
    await context.announce_change("tools")
    return "done"


async def test_trigger_prompt_change(context: ToolContext) -> str:
    """Say that the list of prompts has changed."""
    await context.announce_change("prompts")
    return "done"


async def test_reconnection(context: ToolContext) -> str:
    """Let the client hang up, and answer when it is back."""
    await context.release_client(retry_seconds=0.5)
    await asyncio.sleep(0.1)
    return "Reconnection test completed successfully"


TOOLS = [
    test_trigger_tool_change,
    test_trigger_prompt_change,
    test_reconnection,
    test_tool_with_progress,
    test_tool_with_logging,
    test_logging_tool,
]
