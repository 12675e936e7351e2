"""Toolsets: named selections of tools, each with an MCP endpoint of its own."""
