"""Resources and prompts of upstreams as ToolBox's own, as they were last listed; they are read where they are.

A resource keeps its URI inside of ours, `upstream://NAME/URI` with the URI percent-encoded, so that those of two
servers are never taken for each other, and links in results lead back to the server that gave them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from toolbox.definitions import ResourceContents, read_content, shorten_name
from toolbox.display import Annotations, Icon
from toolbox.errors import InvalidDefinition, ToolError, UpstreamFailed
from toolbox.prompts import PromptDefinition, PromptMessage
from toolbox.resources import ResourceDefinition, ResourceNotFound
from toolbox.text_functions import Parameter, Suggestions
from toolbox.tools.base import ToolContext
from toolbox.upstreams.client import ServerError
from toolbox.upstreams.repository import StoredUpstream
from toolbox.upstreams.tool import SCHEME, Ask, to_own_uri
from toolbox.uri_templates import UriTemplate

RESOURCE_NOT_FOUND = frozenset({-32002, -32602})


class UpstreamResource:
    """A resource of an upstream, or all that its templates stand for."""

    has_completions = False

    def __init__(self, upstream: str, definition: ResourceDefinition, ask: Ask, uri: str | None = None) -> None:
        """Without `uri` it stands for every resource of the upstream."""
        self.definition = definition
        self.template = UriTemplate(definition.uri)
        self._upstream = upstream
        self._uri = uri
        self._ask = ask

    @property
    def is_template(self) -> bool:
        """See Resource."""
        return self._uri is None

    async def read(self, uri: str, values: Mapping[str, str], context: ToolContext) -> tuple[ResourceContents, ...]:
        """See Resource."""
        wanted = self._uri or values["uri"]
        try:
            result = await self._ask(self._upstream, "resources/read", {"uri": wanted}, context, is_safe=True)
        except ServerError as error:
            if error.number in RESOURCE_NOT_FOUND:
                raise ResourceNotFound(uri) from error
            raise ToolError(error.message) from error
        except UpstreamFailed as error:
            raise ToolError(f"the upstream {self._upstream!r} cannot do this now: {error.message}") from error
        try:
            contents = msgspec.convert(result.get("contents"), tuple[ResourceContents, ...])
        except msgspec.ValidationError as error:
            raise ToolError(f"the upstream {self._upstream!r} gave no contents: {error}") from error
        return tuple(
            msgspec.structs.replace(part, uri=uri if part.uri == wanted else to_own_uri(self._upstream, part.uri))
            for part in contents
        )

    async def suggest(self, _name: str, _typed: str, _given: Mapping[str, str], _context: ToolContext) -> Suggestions:
        """See Resource."""
        return Suggestions()


class UpstreamPrompt:
    """A prompt of an upstream."""

    has_completions = False

    def __init__(self, upstream: str, original: str, definition: PromptDefinition, ask: Ask) -> None:
        self.definition = definition
        self._upstream = upstream
        self._original = original
        self._ask = ask

    async def get(self, arguments: Mapping[str, str], context: ToolContext) -> tuple[PromptMessage, ...]:
        """See Prompt."""
        wanted = {"name": self._original, "arguments": dict(arguments)}
        try:
            result = await self._ask(self._upstream, "prompts/get", wanted, context, is_safe=True)
        except ServerError as error:
            raise ToolError(error.message) from error
        except UpstreamFailed as error:
            raise ToolError(f"the upstream {self._upstream!r} cannot do this now: {error.message}") from error
        messages = result.get("messages")
        return tuple(
            PromptMessage(
                "assistant" if message.get("role") == "assistant" else "user", read_content(message["content"])
            )
            for message in (messages if isinstance(messages, list) else ())
            if isinstance(message, dict) and isinstance(message.get("content"), dict)
        )

    async def suggest(self, _name: str, _typed: str, _given: Mapping[str, str], _context: ToolContext) -> Suggestions:
        """See Prompt."""
        return Suggestions()


class Offered:
    """What all upstreams offer beside tools; both mappings are live, and change when an upstream is read."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.resources: dict[str, UpstreamResource] = {}
        self.prompts: dict[str, UpstreamPrompt] = {}

    def update(self, stored: Mapping[str, StoredUpstream]) -> None:
        """Offer what these have."""
        enabled = [each for each in stored.values() if each.upstream.enabled]
        resources = [resource for each in enabled for resource in self._read_resources(each)]
        prompts = [prompt for each in enabled for prompt in self._read_prompts(each)]
        self.resources.clear()
        self.resources.update({resource.definition.uri: resource for resource in resources})
        self.prompts.clear()
        self.prompts.update({prompt.definition.name: prompt for prompt in prompts})

    def _read_resources(self, stored: StoredUpstream) -> list[UpstreamResource]:
        name, found = stored.upstream.name, list[UpstreamResource]()
        for listed in stored.offers.resources:
            uri = listed.get("uri")
            if isinstance(uri, str) and uri:
                definition = _to_resource(listed, to_own_uri(name, uri))
                if definition:
                    found.append(UpstreamResource(name, definition, self._ask, uri))
        if "resources" in (stored.server.capabilities if stored.server else {}):
            templates = [f"{each.get('uriTemplate')} ({each.get('name')})" for each in stored.offers.templates[:20]]
            known = f": {', '.join(templates)}" if templates else ""
            definition = ResourceDefinition(
                uri=f"{SCHEME}{name}/{{uri}}",
                name=f"{name}_resource",
                description=f"Any resource of {stored.upstream.title or name}, by its own URI, percent-encoded{known}"[
                    :2000
                ],
            )
            found.append(UpstreamResource(name, definition, self._ask))
        return found

    def _read_prompts(self, stored: StoredUpstream) -> list[UpstreamPrompt]:
        upstream, found = stored.upstream, list[UpstreamPrompt]()
        prefix = upstream.name if upstream.prefix is None else upstream.prefix
        for listed in stored.offers.prompts:
            original = listed.get("name")
            if not isinstance(original, str) or not original:
                continue
            definition = _to_prompt(listed, shorten_name(f"{prefix}__{original}" if prefix else original))
            if definition:
                found.append(UpstreamPrompt(upstream.name, original, definition, self._ask))
        return found


def _to_resource(listed: Mapping[str, Any], uri: str) -> ResourceDefinition | None:
    try:
        return ResourceDefinition(
            uri=uri,
            name=str(listed.get("name") or uri),
            title=listed.get("title"),
            description=listed.get("description"),
            mime_type=listed.get("mimeType"),
            size=listed.get("size"),
            annotations=_read(listed.get("annotations"), Annotations),
            icons=_read(listed.get("icons"), tuple[Icon, ...]) or (),
            metadata=listed.get("_meta") or {},
        )
    except (InvalidDefinition, TypeError):
        return None


def _to_prompt(listed: Mapping[str, Any], name: str) -> PromptDefinition | None:
    arguments = listed.get("arguments")
    return PromptDefinition(
        name=name,
        title=listed.get("title"),
        description=listed.get("description"),
        arguments=tuple(
            Parameter(
                name=str(each["name"]),
                is_required=each.get("required") is True,
                title=each.get("title"),
                description=each.get("description"),
            )
            for each in (arguments if isinstance(arguments, list) else ())
            if isinstance(each, dict) and "name" in each
        ),
        icons=_read(listed.get("icons"), tuple[Icon, ...]) or (),
        metadata=listed.get("_meta") or {},
    )


def _read(value: Any, kind: Any) -> Any:
    """What decorates only is left out where it cannot be read."""
    try:
        return None if value is None else msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
