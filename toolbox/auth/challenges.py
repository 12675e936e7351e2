"""What a refused client is told to do about it: the header WWW-Authenticate (RFC 6750, 3; RFC 9728, 5.1)."""

from litestar.types import Scope

from toolbox.auth.metadata import METADATA_PATH, find_base_url
from toolbox.errors import InsufficientScope, ToolboxError, Unauthenticated
from toolbox.metrics import REFUSED_CALLERS
from toolbox.settings import Settings

READING_AND_CALLING = "tools:read tools:call"
"""What most clients need, and all that they are told to ask for at first (MCP, scope minimisation)."""


class Challenges:
    """Writes the header for one ToolBox."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def write(self, scope: Scope, error: ToolboxError) -> str | None:
        """The header for a refusal, if it is one that a client can do something about."""
        if isinstance(error, Unauthenticated):
            parts = {"error": "invalid_token"} if error.was_shown else {}
            parts["scope"] = READING_AND_CALLING
        elif isinstance(error, InsufficientScope):
            parts = {"error": "insufficient_scope", "scope": error.scope}
        else:
            return None
        REFUSED_CALLERS[error.code,].inc()
        if self._settings.takes_tokens:
            path = str(scope["path"]).rstrip("/")
            path = path if path.endswith("/mcp") else ""
            parts["resource_metadata"] = f"{find_base_url(scope, self._settings)}{METADATA_PATH}{path}"
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())
