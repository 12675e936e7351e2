"""find_tool: the search over the catalogue."""
