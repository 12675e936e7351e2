"""What a call of these tools does to the world: nothing."""

import toolbox

PURE = toolbox.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
"""The answer depends on the arguments alone, and nothing is changed."""
