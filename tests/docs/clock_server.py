"""An MCP server over stdio, in the place of the one that docs/api.md adds."""

from datetime import datetime
from zoneinfo import ZoneInfo

from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")


@server.tool()
def get_current_time(timezone: str) -> str:
    """Tell the time in a time zone."""
    return datetime.now(ZoneInfo(timezone)).isoformat()


@server.tool()
def convert_time(source_timezone: str, time: str, target_timezone: str) -> str:
    """Tell what a time today is elsewhere."""
    there = datetime.now(ZoneInfo(source_timezone)).replace(hour=int(time[:2]), minute=int(time[3:]))
    return there.astimezone(ZoneInfo(target_timezone)).isoformat()


if __name__ == "__main__":
    server.run()
