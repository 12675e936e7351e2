"""Tasks: calls that a client follows while a worker runs them (MCP, extension io.modelcontextprotocol/tasks)."""
