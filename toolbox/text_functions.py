"""Typed functions whose arguments come as text: prompts and resource templates, to which MCP gives nothing else.

A text becomes what the parameter's type says: numbers, booleans, dates, enums, literals. Types that no single text can
be, such as lists, are refused when the plugin is loaded.
"""

import inspect
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from toolbox.errors import InvalidArguments, InvalidDefinition, Violation
from toolbox.tools.base import ToolContext
from toolbox.tools.function import _read_signature as read_signature

MAX_SUGGESTIONS = 100  # MCP 2026-07-28, completion: more are never sent
MAX_COUNTED = 100_000
"""How many suggestions are counted at most: a completer may give them without end."""


class Parameter(Struct, frozen=True, omit_defaults=True):
    """A parameter as callers see it."""

    name: str
    is_required: bool
    title: str | None = None
    description: str | None = None
    choices: tuple[str, ...] = ()
    """All values that there are, if the type names them."""


class Suggestions(Struct, frozen=True):
    """The first values for an argument; `total` is None where nobody has counted."""

    values: tuple[str, ...] = ()
    total: int | None = 0
    has_more: bool = False


Completer: TypeAlias = Callable[
    [str, dict[str, str]], Iterable[str] | Suggestions | Awaitable[Iterable[str]] | Awaitable[Suggestions]
]
"""Suggests values: takes what has been typed and the arguments that are given already, gives values, best first."""


class TextFunction:
    """A function with typed parameters, and what completes them."""

    def __init__(self, function: Callable[..., Any], complete: Mapping[str, Completer]) -> None:
        """Read the function's signature.

        Raises:
            InvalidDefinition: A parameter has no type or one that no text can become, or completes nothing.
        """
        signature = read_signature(function)
        self._function = function
        self._arguments = signature.arguments
        self._context_parameter = signature.context_parameter
        self._complete = complete
        self.parameters = _describe_parameters(signature.arguments)
        if unknown := sorted(set(complete) - {parameter.name for parameter in self.parameters}):
            raise InvalidDefinition(f"it completes {unknown[0]!r}, which is no parameter of it")

    @property
    def has_completions(self) -> bool:
        """Whether there is anything to suggest."""
        return bool(self._complete) or any(parameter.choices for parameter in self.parameters)

    async def call(self, what: str, texts: Mapping[str, str], context: ToolContext) -> Any:
        """Call the function: on the event loop if it is a coroutine function, else in a thread.

        Raises:
            InvalidArguments: The texts are not what the parameters take; `what` names the thing that was asked for.
        """
        named = self._read(what, texts)
        if self._context_parameter:
            named[self._context_parameter] = context
        if _is_async(self._function):
            return await self._function(**named)
        return await context.run_blocking(self._function, **named)

    async def suggest(self, name: str, typed: str, given: Mapping[str, str], context: ToolContext) -> Suggestions:
        """Values for a parameter of which a beginning has been typed; choices complete themselves."""
        completer = self._complete.get(name)
        if completer is None:
            choices = next(parameter.choices for parameter in self.parameters if parameter.name == name)
            return _take(choice for choice in choices if choice.casefold().startswith(typed.casefold()))
        suggest: Callable[..., Any] = completer
        if _is_async(suggest):
            return _take(await suggest(typed, dict(given)))
        # A generator runs where it is counted, so that is done in the thread too.
        return await context.run_blocking(lambda: _take(suggest(typed, dict(given))))

    def _read(self, what: str, texts: Mapping[str, str]) -> dict[str, Any]:
        try:
            typed = msgspec.convert(dict(texts), self._arguments, strict=False)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at ")
            where = path.strip("`").removeprefix("$").replace(".", "/")
            raise InvalidArguments(what, [Violation(where, message)]) from error
        return {field: getattr(typed, field) for field in typed.__struct_fields__}


def _describe_parameters(arguments: type[Struct]) -> tuple[Parameter, ...]:
    schema = msgspec.json.schema(arguments)
    definitions = schema["$defs"]
    root = definitions[schema["$ref"].rpartition("/")[2]]
    required = root.get("required", ())
    return tuple(
        _describe(name, part, definitions, is_required=name in required) for name, part in root["properties"].items()
    )


def _describe(name: str, schema: dict[str, Any], definitions: dict[str, Any], *, is_required: bool) -> Parameter:
    kinds = _flatten(schema, definitions)
    if not any(_can_be_text(kind) for kind in kinds):
        raise InvalidDefinition(f"parameter {name!r}: arguments come as text, and no text can become its type")
    is_closed = all("enum" in kind or kind.get("type") in ("boolean", "null") for kind in kinds)
    return Parameter(
        name=name,
        is_required=is_required,
        title=schema.get("title"),
        description=schema.get("description"),
        choices=tuple(itertools.chain.from_iterable(map(_choices, kinds))) if is_closed else (),
    )


def _flatten(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives that a schema offers, without references."""
    if "$ref" in schema:
        return _flatten(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    parts = schema.get("anyOf") or schema.get("allOf")
    return [kind for part in parts for kind in _flatten(part, definitions)] if parts else [schema]


def _can_be_text(schema: dict[str, Any]) -> bool:
    return "enum" in schema or schema.get("type") in (None, "string", "integer", "number", "boolean")


def _choices(schema: dict[str, Any]) -> list[str]:
    if schema.get("type") == "boolean":
        return ["true", "false"]
    return [str(value) for value in schema.get("enum", ()) if value is not None]


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def _take(suggested: Any) -> Suggestions:
    """The first values, and how many there are; what is given without end is counted only so far."""
    if isinstance(suggested, Suggestions):
        has_more = suggested.has_more or len(suggested.values) > MAX_SUGGESTIONS
        return Suggestions(suggested.values[:MAX_SUGGESTIONS], suggested.total, has_more)
    if isinstance(suggested, str):
        raise TypeError(f"a completer gives several texts, not one: {suggested!r}")
    rest = iter(suggested)
    values: tuple[Any, ...] = tuple(itertools.islice(rest, MAX_SUGGESTIONS))
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise TypeError(f"a completer gives texts, not {wrong[0]!r}")
    uncounted = sum(1 for _ in itertools.islice(rest, MAX_COUNTED))
    return Suggestions(values, None if uncounted == MAX_COUNTED else len(values) + uncounted, uncounted > 0)
