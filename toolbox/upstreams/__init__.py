"""Upstreams: the tools of other MCP servers as ToolBox's own, whatever those servers do."""
