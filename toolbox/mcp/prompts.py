"""Prompts over MCP: listing and filling them in (MCP 2026-07-28, server/prompts)."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.mcp.envelopes import LIST_TTL_MS, ListedShape, Result, cacheable, complete, listed, shared_by
from toolbox.mcp.messages import INVALID_PARAMS, ProtocolError, read_params
from toolbox.mcp.paging import find_page
from toolbox.mcp.peers import Peer
from toolbox.mcp.resources import ListParams
from toolbox.mcp.runner import Runner
from toolbox.mcp.shapes import downgrade
from toolbox.mcp.versions import Version
from toolbox.prompts import Prompt, PromptDefinition, PromptMessage
from toolbox.text_functions import Parameter


class GetPromptParams(Struct, frozen=True):
    """What prompts/get takes."""

    name: str
    arguments: dict[str, str] | None = None


class ArgumentShape(Struct, frozen=True):
    """An argument of a prompt in a list."""

    name: str
    required: bool
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class PromptShape(ListedShape, frozen=True, kw_only=True, rename="camel"):
    """A prompt in a list."""

    arguments: list[ArgumentShape]


class ListPromptsResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What prompts/list gives."""

    prompts: list[PromptShape]
    next_cursor: str | UnsetType


class GetPromptResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What prompts/get gives."""

    description: str | UnsetType
    messages: Raw


class Prompts:
    """Lists and fills in the prompts that there are at the moment of each request."""

    def __init__(self, offered: Mapping[str, Prompt], runner: Runner) -> None:
        self._offered = offered
        self._runner = runner

    def __bool__(self) -> bool:
        return bool(self._offered)

    @property
    def has_completions(self) -> bool:
        """Whether there is anything to suggest for an argument of any prompt."""
        return any(prompt.has_completions for prompt in self._offered.values())

    def find(self, name: str) -> Prompt:
        """The prompt with a name.

        Raises:
            ProtocolError: There is none; the message names near ones.
        """
        prompt = self._offered.get(name)
        if prompt is None:
            near = ", ".join(get_close_matches(name[:256], self._offered, n=3, cutoff=0.5))
            hint = f"; near names: {near}" if near else "; prompts/list names all"
            raise ProtocolError(INVALID_PARAMS, f"there is no prompt {name[:200]!r}{hint}")
        return prompt

    async def list_prompts(self, params: Raw, peer: Peer, _caller: str) -> ListPromptsResult:
        """prompts/list.

        Raises:
            InvalidRequest: The cursor is none of ours.
        """
        names = sorted(self._offered)
        page = find_page(names, read_params(params, ListParams, "prompts/list").cursor)
        shown = [_shape(self._offered[name].definition, peer.version) for name in names[page.start : page.end]]
        return ListPromptsResult(
            prompts=shown,
            next_cursor=page.next_cursor,
            **cacheable(peer.version, ttl_ms=LIST_TTL_MS, cache_scope=shared_by(peer.caller)),
        )

    async def get(self, params: Raw, peer: Peer, caller: str) -> GetPromptResult:
        """prompts/get.

        Raises:
            ProtocolError: There is no such prompt, or it failed.
            InvalidArguments: The arguments are not what it takes.
        """
        wanted = read_params(params, GetPromptParams, "prompts/get")
        prompt = self.find(wanted.name)
        work = partial(prompt.get, wanted.arguments or {})
        messages = await self._runner.run(f"prompt {wanted.name}", work, caller=caller, client=peer)
        return GetPromptResult(
            description=prompt.definition.description or UNSET,
            messages=_encode(messages, peer.version),
            **complete(peer.version),
        )


def _shape(definition: PromptDefinition, version: Version) -> PromptShape:
    return PromptShape(
        arguments=[_argument(parameter, version) for parameter in definition.arguments],
        **listed(
            version,
            name=definition.name,
            title=definition.title,
            description=definition.description,
            icons=definition.icons,
            metadata=definition.metadata,
        ),
    )


def _argument(parameter: Parameter, version: Version) -> ArgumentShape:
    return ArgumentShape(
        name=parameter.name,
        required=parameter.is_required,
        title=parameter.title if parameter.title and version.has_structured_output else UNSET,
        description=parameter.description or UNSET,
    )


def _encode(messages: tuple[PromptMessage, ...], version: Version) -> Raw:
    if not version.has_structured_output:
        messages = tuple(PromptMessage(message.role, downgrade(message.content, version)) for message in messages)
    return Raw(msgspec.json.encode(messages))
