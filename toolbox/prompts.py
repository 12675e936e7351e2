"""Prompts: messages that a user picks and fills in (MCP 2026-07-28, server/prompts), as plugins write them."""

import copy
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

import docstring_parser
import msgspec
from msgspec import Struct, structs

from toolbox.definitions import Content, TextContent
from toolbox.display import Icon, Role
from toolbox.errors import InvalidDefinition
from toolbox.text_functions import Completer, Parameter, Suggestions, TextFunction
from toolbox.tools.base import ToolContext

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = "__toolbox_prompt__"
_CONTENT_TYPES = typing.get_args(Content)


class PromptMessage(Struct, frozen=True):
    """One message of a prompt: who says it, and what."""

    role: Role
    content: Content


class PromptDefinition(Struct, frozen=True, kw_only=True):
    """What clients see of a prompt. `metadata` is listed as `_meta`."""

    name: str
    title: str | None = None
    description: str | None = None
    arguments: tuple[Parameter, ...] = ()
    icons: tuple[Icon, ...] = ()
    metadata: dict[str, Any] = {}


@overload
def prompt(function: F, /) -> F: ...
@overload
def prompt(
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    icons: Sequence[Icon] = (),
    metadata: Mapping[str, Any] | None = None,
    complete: Mapping[str, Completer] | None = None,
) -> Callable[[F], F]: ...
def prompt(
    function: F | None = None, /, *, complete: Mapping[str, Completer] | None = None, **options: Any
) -> F | Callable[[F], F]:
    """Say more about a function that is a prompt.

    It returns a text, content or a `PromptMessage`, or a list of them; what has no role is said by the user. Its
    parameters are the arguments, which come as text. `name` is the part behind the plugin's prefix (the function's own
    name if not given), the description its docstring's first line; `complete` suggests values of arguments, by their
    names.
    """

    def mark(marked: F) -> F:
        given = {key: value for key, value in options.items() if value is not None}
        setattr(marked, _OPTIONS, (given, complete or {}))
        return marked

    return mark if function is None else mark(function)


class Prompt:
    """A function that gives the messages of a prompt."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read what `@prompt` and the signature say.

        Raises:
            InvalidDefinition: A parameter cannot be given as text, or an option makes no sense.
        """
        options, complete = getattr(function, _OPTIONS, ({}, {}))
        self._function = TextFunction(function, complete)
        self.definition = _define(function, options, self._function.parameters)

    @property
    def has_completions(self) -> bool:
        """Whether there is anything to suggest for its arguments."""
        return self._function.has_completions

    def renamed(self, name: str) -> "Prompt":
        """The same prompt under another name."""
        renamed = copy.copy(self)
        renamed.definition = structs.replace(self.definition, name=name)
        return renamed

    async def get(self, arguments: Mapping[str, str], context: ToolContext) -> tuple[PromptMessage, ...]:
        """The messages, with the arguments filled in.

        Raises:
            InvalidArguments: The arguments are not what the prompt takes.
            ToolError: The function says that it failed.
        """
        return _to_messages(await self._function.call(context.tool_name, arguments, context))

    async def suggest(self, argument: str, typed: str, given: Mapping[str, str], context: ToolContext) -> Suggestions:
        """Values for an argument of which a beginning has been typed."""
        return await self._function.suggest(argument, typed, given, context)


def as_prompt(candidate: Any) -> Prompt:
    """A prompt as it is; a function wrapped as one.

    Raises:
        InvalidDefinition: It is neither, or makes no sense.
    """
    if isinstance(candidate, Prompt):
        return candidate
    if callable(candidate):
        return Prompt(candidate)
    raise InvalidDefinition(f"{candidate!r} is no typed function")


def _define(
    function: Callable[..., Any], options: Mapping[str, Any], parameters: tuple[Parameter, ...]
) -> PromptDefinition:
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    own = {
        "name": getattr(function, "__name__", None),
        "description": " ".join((parsed.short_description or "").split()) or None,
        "arguments": parameters,
    }
    try:
        return msgspec.convert(own | dict(options), PromptDefinition, from_attributes=True)
    except msgspec.ValidationError as error:
        raise InvalidDefinition(f"@prompt of {own['name']}: {error}") from error


def _to_messages(returned: Any) -> tuple[PromptMessage, ...]:
    parts = returned if isinstance(returned, list | tuple) else [returned]
    return tuple(_to_message(part) for part in parts)


def _to_message(part: Any) -> PromptMessage:
    if isinstance(part, PromptMessage):
        return part
    if isinstance(part, str):
        return PromptMessage("user", TextContent(part))
    if isinstance(part, _CONTENT_TYPES):
        return PromptMessage("user", part)
    raise TypeError(f"a prompt gives texts, content or PromptMessages, not {type(part).__name__}")
