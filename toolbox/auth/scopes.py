"""Scopes: what a caller may do. Every route and every method of MCP names the one that it needs."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Scope: TypeAlias = Literal["tools:read", "tools:call", "tools:write", "upstreams:write", "keys:write", "metrics:read"]

SCOPES: Mapping[Scope, str] = {
    "tools:read": "List, find and describe tools, and read one's own calls, results and tasks.",
    "tools:call": "Call tools.",
    "tools:write": "Change the catalogue, toolsets and secrets; read everybody's calls, results and tasks.",
    "upstreams:write": "Add, change and remove MCP servers whose tools are offered.",
    "keys:write": "Issue, list, rotate and revoke keys.",
    "metrics:read": "Read metrics, and how each part of the server is.",
}

PUBLIC = "public"
"""What a route names that anybody may use: health, documentation, discovery."""

ALL: frozenset[str] = frozenset(get_args(Scope))

LIMITED: frozenset[str] = frozenset({"tools:read", "tools:call"})
"""All that a caller can have who is limited to some toolsets, or of whom nothing is known."""
