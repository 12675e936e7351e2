"""call_tool: running tools safely, and remembering it."""
