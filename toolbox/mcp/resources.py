"""Resources over MCP: listing and reading them (MCP 2026-07-28, server/resources).

The same URI always names the same thing: a resource comes before all templates, and they come in the order of their
texts.
"""

from collections.abc import Collection, Mapping
from functools import partial

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.display import Annotations
from toolbox.mcp.envelopes import (
    LIST_TTL_MS,
    ListedShape,
    Result,
    annotated,
    cacheable,
    is_stateless,
    listed,
    shared_by,
)
from toolbox.mcp.messages import INVALID_PARAMS, ProtocolError, read_params
from toolbox.mcp.paging import find_page
from toolbox.mcp.peers import Peer
from toolbox.mcp.runner import Runner
from toolbox.mcp.versions import Version
from toolbox.resources import Resource, ResourceNotFound
from toolbox.uri_templates import is_uri

RESOURCE_NOT_FOUND = -32002
"""What versions before 2026-07-28 say of a URI that names nothing."""


class ListParams(Struct, frozen=True):
    """What lists take."""

    cursor: str | None = None


class ReadResourceParams(Struct, frozen=True):
    """What resources/read takes, and resources/subscribe and resources/unsubscribe too."""

    uri: str


class ResourceShape(ListedShape, frozen=True, kw_only=True, rename="camel"):
    """A resource or a resource template in a list: it has either `uri` or `uri_template`."""

    uri: str | UnsetType = UNSET
    uri_template: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    size: int | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET


class ListResourcesResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What resources/list gives."""

    resources: list[ResourceShape]
    next_cursor: str | UnsetType


class ListResourceTemplatesResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What resources/templates/list gives."""

    resource_templates: list[ResourceShape]
    next_cursor: str | UnsetType


class ReadResourceResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What resources/read gives."""

    contents: Raw


class Resources:
    """Lists and reads what there is at the moment of each request: ToolBox's own resources and those of plugins."""

    def __init__(self, own: Collection[Resource], offered: Mapping[str, Resource], runner: Runner) -> None:
        self._own = {resource.definition.uri: resource for resource in own}
        self._offered = offered
        self._runner = runner

    def __bool__(self) -> bool:
        return bool(self._own or self._offered)

    @property
    def has_completions(self) -> bool:
        """Whether there is anything to suggest for a variable of any template."""
        return any(resource.has_completions for resource in [*self._own.values(), *self._offered.values()])

    def get(self, uri: str) -> Resource | None:
        """The resource with a URI, or the template with exactly this text."""
        return self._own.get(uri) or self._offered.get(uri)

    async def list_resources(self, params: Raw, peer: Peer, _caller: str) -> ListResourcesResult:
        """resources/list.

        Raises:
            InvalidRequest: The cursor is none of ours.
        """
        cursor = read_params(params, ListParams, "resources/list").cursor
        resources, next_cursor = self._list(cursor, peer.version, templates=False)
        return ListResourcesResult(
            resources=resources,
            next_cursor=next_cursor,
            **cacheable(peer.version, ttl_ms=LIST_TTL_MS, cache_scope=shared_by(peer.caller)),
        )

    async def list_templates(self, params: Raw, peer: Peer, _caller: str) -> ListResourceTemplatesResult:
        """resources/templates/list.

        Raises:
            InvalidRequest: The cursor is none of ours.
        """
        cursor = read_params(params, ListParams, "resources/templates/list").cursor
        templates, next_cursor = self._list(cursor, peer.version, templates=True)
        return ListResourceTemplatesResult(
            resource_templates=templates,
            next_cursor=next_cursor,
            **cacheable(peer.version, ttl_ms=LIST_TTL_MS, cache_scope=shared_by(peer.caller)),
        )

    async def read(self, params: Raw, peer: Peer, caller: str) -> ReadResourceResult:
        """resources/read.

        Raises:
            ProtocolError: Nothing has this URI, or what reads it failed.
        """
        uri = read_params(params, ReadResourceParams, "resources/read").uri
        try:
            resource, values = self._find(uri)
            work = partial(resource.read, uri, values)
            contents = await self._runner.run(f"resource {uri[:200]}", work, caller=caller, client=peer)
        except ResourceNotFound as error:
            raise _not_found(error, uri, peer.version) from error
        ttl_ms = int(resource.definition.cache_seconds * 1000)
        return ReadResourceResult(
            contents=Raw(msgspec.json.encode(contents)),
            # A function may tell one caller more than another.
            **cacheable(peer.version, ttl_ms=ttl_ms, cache_scope="private"),
        )

    async def check(self, params: Raw, peer: Peer, _caller: str) -> Result:
        """resources/subscribe and resources/unsubscribe: the URI must name something. Who hears of it, the era keeps.

        Raises:
            ProtocolError: It does not.
        """
        uri = read_params(params, ReadResourceParams, "resources/subscribe").uri
        try:
            self._find(uri)
        except ResourceNotFound as error:
            raise _not_found(error, uri, peer.version) from error
        return Result()

    def _list(
        self, cursor: str | None, version: Version, *, templates: bool
    ) -> tuple[list[ResourceShape], str | UnsetType]:
        """A page of the resources, or of the templates, in the order of their URIs."""
        wanted = {uri: resource for uri, resource in self._all().items() if resource.is_template == templates}
        uris = sorted(wanted)
        page = find_page(uris, cursor)
        return [_shape(wanted[uri], version) for uri in uris[page.start : page.end]], page.next_cursor

    def _all(self) -> dict[str, Resource]:
        return {**self._offered, **self._own}

    def _find(self, uri: str) -> tuple[Resource, dict[str, str]]:
        """The resource behind a URI, with the values of its variables."""
        if not is_uri(uri):
            raise ResourceNotFound(uri)
        known = self.get(uri)
        if known is not None and not known.is_template:
            return known, {}
        for _, resource in sorted(self._all().items()):
            values = resource.template.match(uri) if resource.is_template else None
            if values is not None:
                return resource, values
        raise ResourceNotFound(uri)


def _shape(resource: Resource, version: Version) -> ResourceShape:
    definition, is_template = resource.definition, resource.is_template
    return ResourceShape(
        uri=UNSET if is_template else definition.uri,
        uri_template=definition.uri if is_template else UNSET,
        mime_type=definition.mime_type or UNSET,
        size=UNSET if definition.size is None or is_template else definition.size,
        annotations=annotated(definition.annotations, version),
        **listed(
            version,
            name=definition.name,
            title=definition.title,
            description=definition.description,
            icons=definition.icons,
            metadata=definition.metadata,
        ),
    )


def _not_found(error: ResourceNotFound, uri: str, version: Version) -> ProtocolError:
    code = INVALID_PARAMS if is_stateless(version) else RESOURCE_NOT_FOUND
    return ProtocolError(code, error.message, data={"uri": uri})
