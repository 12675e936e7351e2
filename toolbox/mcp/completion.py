"""Completion over MCP: values for arguments of prompts and variables of resource templates (MCP 2026-07-28)."""

from collections.abc import Iterable
from functools import partial

from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.mcp.envelopes import Result, complete
from toolbox.mcp.messages import INVALID_PARAMS, ProtocolError, read_params
from toolbox.mcp.peers import Peer
from toolbox.mcp.prompts import Prompts
from toolbox.mcp.resources import Resources
from toolbox.mcp.runner import Runner
from toolbox.prompts import Prompt
from toolbox.resources import Resource
from toolbox.text_functions import Suggestions


class PromptReference(Struct, frozen=True, tag_field="type", tag="ref/prompt"):
    """A prompt, by its name."""

    name: str


class ResourceReference(Struct, frozen=True, tag_field="type", tag="ref/resource"):
    """A resource template, by its text."""

    uri: str


class Argument(Struct, frozen=True):
    """The argument that is being typed."""

    name: str
    value: str


class CompletionContext(Struct, frozen=True):
    """What is given already."""

    arguments: dict[str, str] | None = None


class CompleteParams(Struct, frozen=True):
    """What completion/complete takes."""

    ref: PromptReference | ResourceReference
    argument: Argument
    context: CompletionContext | None = None


class CompletionShape(Struct, frozen=True, rename="camel"):
    """The values, best first."""

    values: tuple[str, ...]
    total: int | UnsetType
    has_more: bool


class CompleteResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What completion/complete gives."""

    completion: CompletionShape


class Completions:
    """Suggests values."""

    def __init__(self, resources: Resources, prompts: Prompts, runner: Runner) -> None:
        self._resources = resources
        self._prompts = prompts
        self._runner = runner

    def __bool__(self) -> bool:
        return self._resources.has_completions or self._prompts.has_completions

    async def complete(self, params: Raw, peer: Peer, caller: str) -> CompleteResult:
        """completion/complete.

        Raises:
            ProtocolError: The prompt, the template or its argument is unknown, or what suggests values failed.
        """
        wanted = read_params(params, CompleteParams, "completion/complete")
        offered, known, what = self._find(wanted.ref)
        _require(wanted.argument.name, known, what)
        given = (wanted.context and wanted.context.arguments) or {}
        work = partial(offered.suggest, wanted.argument.name, wanted.argument.value, given)
        name = f"completion of {what}"
        return _to_result(await self._runner.run(name, work, caller=caller, client=peer), peer)

    def _find(self, reference: PromptReference | ResourceReference) -> tuple[Prompt | Resource, list[str], str]:
        """What is referred to, the names of its arguments, and how it is called."""
        if isinstance(reference, PromptReference):
            prompt = self._prompts.find(reference.name)
            return prompt, [argument.name for argument in prompt.definition.arguments], f"prompt {reference.name}"
        resource = self._resources.get(reference.uri)
        if resource is None:
            raise ProtocolError(
                INVALID_PARAMS, f"there is no resource template {reference.uri[:200]!r}", data={"uri": reference.uri}
            )
        return resource, list(resource.template.variables), f"resource template {reference.uri}"


def _require(name: str, known: Iterable[str], what: str) -> None:
    if name not in known:
        names = ", ".join(known) or "none"
        raise ProtocolError(INVALID_PARAMS, f"{what} has no argument {name[:100]!r}; it has: {names}")


def _to_result(suggestions: Suggestions, peer: Peer) -> CompleteResult:
    shape = CompletionShape(
        suggestions.values,
        UNSET if suggestions.total is None else suggestions.total,
        suggestions.has_more,
    )
    return CompleteResult(completion=shape, **complete(peer.version))
