"""What the results of several methods have in common, in each version. Pure module: no I/O."""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from toolbox.auth.callers import Caller
from toolbox.display import Annotations, Icon
from toolbox.mcp.versions import STATELESS_VERSIONS, Version

LIST_TTL_MS = 300_000
"""How long a client may keep lists: they change only when plugins do."""

_FIRST_WITH_ICONS = "2025-11-25"


class Result(Struct, frozen=True, kw_only=True, rename="camel"):
    """Any result. All of this came with the stateless era (MCP 2026-07-28, Result and CacheableResult)."""

    result_type: str | UnsetType = UNSET
    ttl_ms: int | UnsetType = UNSET
    cache_scope: "CacheScope | UnsetType" = UNSET
    meta: Raw | UnsetType = msgspec.field(default=UNSET, name="_meta")


class ListedShape(Struct, frozen=True, kw_only=True, rename="camel"):
    """What everything in a list has."""

    name: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    icons: tuple[Icon, ...] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = msgspec.field(default=UNSET, name="_meta")


def complete(version: Version) -> dict[str, Any]:
    """The members that make a result complete."""
    return {"result_type": "complete"} if is_stateless(version) else {}


CacheScope: TypeAlias = Literal["public", "private"]


def shared_by(caller: Caller) -> CacheScope:
    """Who may be given a list that was made for a caller: whoever shows a key may see what others do not."""
    return "public" if caller.is_anonymous else "private"


def cacheable(version: Version, *, ttl_ms: int, cache_scope: CacheScope) -> dict[str, Any]:
    """The members that make a result complete, and say how long and by whom it may be kept."""
    if not is_stateless(version):
        return {}
    return complete(version) | {"ttl_ms": ttl_ms, "cache_scope": cache_scope}


def listed(
    version: Version,
    *,
    name: str,
    title: str | None,
    description: str | None,
    icons: tuple[Icon, ...],
    metadata: dict[str, Any],
) -> dict[str, Any]:
    """The members of a ListedShape that a version knows."""
    return {
        "name": name,
        "title": title if title and version.has_structured_output else UNSET,
        "description": description or UNSET,
        "icons": icons if icons and version.name >= _FIRST_WITH_ICONS else UNSET,
        "meta": metadata if metadata and version.has_structured_output else UNSET,
    }


def annotated(annotations: Annotations | None, version: Version) -> Annotations | UnsetType:
    """Annotations, as far as a version knows them."""
    if annotations is not None and not version.has_structured_output:
        annotations = structs.replace(annotations, last_modified=None)
    return UNSET if annotations in (None, Annotations()) else annotations


def is_stateless(version: Version) -> bool:
    """Whether a version belongs to the stateless era."""
    return version.name in STATELESS_VERSIONS
