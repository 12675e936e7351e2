"""A typed Python function as a tool: its schema comes from its type hints, its texts from its docstring.

Argument types are whatever msgspec understands: Annotated[..., Meta(ge=0)], Literal, Enum, nested Structs,
dataclasses, Optional, dates. The default of a parameter makes it optional.
"""

import collections.abc
import copy
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, overload

import docstring_parser
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from toolbox.definitions import Content, TaskMode, ToolAnnotations, ToolDefinition, ToolExample, ToolResult
from toolbox.errors import InvalidArguments, InvalidDefinition, Violation
from toolbox.tools.base import ToolContext

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = "__toolbox_options__"
_CONTENT_TYPES = typing.get_args(Content)


class ToolOptions(Struct, frozen=True, omit_defaults=True):
    """What `@tool` adds to what the function says of itself; an empty field means "as the function says"."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    annotations: ToolAnnotations = ToolAnnotations()
    examples: tuple[ToolExample, ...] = ()
    version: str | None = None
    author: str | None = None
    metadata: dict[str, Any] = {}
    prefix: bool = True
    task: TaskMode | UnsetType = UNSET
    concurrency: Annotated[int, Meta(ge=1)] | None = None


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    category: str | None = None,
    tags: Sequence[str] = (),
    timeout_seconds: float | None = None,
    annotations: ToolAnnotations | None = None,
    examples: Sequence[ToolExample] = (),
    version: str | None = None,
    author: str | None = None,
    metadata: dict[str, Any] | None = None,
    prefix: bool | None = None,
    task: TaskMode | None = None,
    concurrency: int | None = None,
) -> Callable[[F], F]: ...
def tool(function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Say more about a function that is a tool. The function itself stays as it is, and can be called and tested.

    `name` is the part behind the plugin's prefix (the function's own name if not given); `timeout_seconds` replaces
    TOOL_TIMEOUT for this tool; the query of each of the `examples` is searched too. Without `prefix` the name is the
    whole name: choose one that no other plugin will choose.

    `task` lets the tool run as a task of MCP, which its client follows and a worker runs: "optional" wherever the
    client can follow one, "required" only there, "escalates" from when its code calls `context.become_task()`.

    `concurrency` is how many calls of the tool may run at the same time in one process, where fewer than usual are
    good for what is behind it.
    """

    def mark(marked: F) -> F:
        given = {key: value for key, value in options.items() if value is not None}
        try:
            setattr(marked, _OPTIONS, msgspec.convert(given, ToolOptions, from_attributes=True))
        except msgspec.ValidationError as error:
            raise InvalidDefinition(f"@tool of {marked.__qualname__}: {error}") from error
        return marked

    return mark if function is None else mark(function)


class FunctionTool:
    """A tool that runs a Python function: coroutine functions on the event loop, others in a thread."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read the function's signature.

        Raises:
            InvalidDefinition: A parameter has no type, a type has no JSON form, or arguments cannot be named.
        """
        signature = _read_signature(function)
        self._function = function
        self._is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self._arguments = signature.arguments
        self._context_parameter = signature.context_parameter
        self.definition = _define(function, signature)
        self.prefix = _options(function).prefix
        self.concurrency = _options(function).concurrency

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the function with typed arguments and wrap what it returns."""
        try:
            typed = msgspec.convert(arguments, self._arguments)
        except msgspec.ValidationError as error:
            raise InvalidArguments(context.tool_name, [_violation(error)]) from error
        named = {field: getattr(typed, field) for field in typed.__struct_fields__}
        if self._context_parameter:
            named[self._context_parameter] = context
        if self._is_async:
            returned = await self._function(**named)
        else:
            returned = await context.run_blocking(self._function, **named)
        return _to_result(returned)


def as_tool(candidate: Any) -> Any:
    """A tool as it is; a function wrapped as one.

    Raises:
        InvalidDefinition: It is neither.
    """
    if inspect.isroutine(candidate):
        return FunctionTool(candidate)
    if isinstance(getattr(candidate, "definition", None), ToolDefinition) and callable(
        getattr(candidate, "call", None)
    ):
        return candidate
    raise InvalidDefinition(f"{candidate!r} is neither a typed function nor a Tool")


class _Signature(NamedTuple):
    arguments: type[Struct]
    context_parameter: str | None
    returns: Any


def _read_signature(function: Callable[..., Any]) -> _Signature:
    where = getattr(function, "__qualname__", repr(function))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:  # type hints are evaluated code of the plugin: anything can come out of them
        raise InvalidDefinition(f"{where}: its type hints cannot be read: {error}") from error
    documented = _parameter_texts(function)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    context_parameter = None
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidDefinition(
                f"{where}: parameter {name!r} cannot be passed by name; *args, **kwargs and / cannot"
            )
        if name not in hints:
            raise InvalidDefinition(f"{where}: parameter {name!r} has no type hint")
        if hints[name] is ToolContext:
            context_parameter = name
            continue
        hint = _describe(hints[name], documented.get(name))
        fields.append(
            (name, hint) if parameter.default is parameter.empty else (name, hint, _default(parameter.default))
        )
    try:
        arguments = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.schema(arguments)
    except Exception as error:  # msgspec raises several kinds for types that it cannot build or describe
        raise InvalidDefinition(f"{where}: {_why_no_form(fields, error)}") from error
    return _Signature(arguments, context_parameter, hints.get("return", Any))


def _why_no_form(fields: Sequence[tuple[Any, ...]], error: Exception) -> str:
    """Which parameter it is, and what the last line of msgspec's words says: the others advise users of msgspec."""
    for name, *rest in fields:
        try:
            msgspec.json.schema(msgspec.defstruct("Arguments", [(name, *rest)]))
        except Exception as alone:  # noqa: BLE001 - as above
            return f"parameter {name!r} has no JSON form: {_last_line(alone)}"
    return f"its parameters have no JSON form: {_last_line(error)}"


def _last_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[-1].strip().replace("<class '", "").replace("'>", "").removeprefix("- ")


def _default(value: Any) -> Any:
    """Mutable defaults are copied for each call."""
    if isinstance(value, list | dict | set):
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return value


def _describe(hint: Any, text: str | None) -> Any:
    described = any(isinstance(extra, Meta) and extra.description for extra in getattr(hint, "__metadata__", ()))
    return typing.Annotated[hint, Meta(description=text)] if text and not described else hint


def _parameter_texts(function: Callable[..., Any]) -> dict[str, str]:
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    return {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in parsed.params}


def _options(function: Callable[..., Any]) -> ToolOptions:
    options: ToolOptions = getattr(function, _OPTIONS, ToolOptions())
    return options


def _define(function: Callable[..., Any], signature: _Signature) -> ToolDefinition:
    options = _options(function)
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    return ToolDefinition(
        name=options.name or function.__name__,
        title=options.title,
        description=options.description or " ".join((parsed.short_description or "").split()),
        long_description=parsed.long_description,
        input_schema=_input_schema(signature.arguments),
        output_schema=_output_schema(signature.returns),
        category=options.category,
        tags=options.tags,
        examples=options.examples,
        annotations=options.annotations,
        timeout_seconds=options.timeout_seconds,
        version=options.version or "",
        author=options.author,
        metadata=options.metadata,
        task=options.task,
    )


def _input_schema(arguments: type[Struct]) -> dict[str, Any]:
    """The schema with its root in place: MCP wants `type: object` at the root, msgspec puts a $ref there."""
    (root,), definitions = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    schema = dict(definitions.pop(root["$ref"].rsplit("/", 1)[1]))
    schema.pop("title", None)
    return dict(_with_typed_choices(schema | ({"$defs": definitions} if definitions else {})))


_TYPES: dict[type, str] = {str: "string", int: "integer"}


def _with_typed_choices(schema: Any) -> Any:
    """The schema with the type of each choice, which forms and some models' APIs look for, and msgspec leaves out."""
    if isinstance(schema, list):
        return [_with_typed_choices(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    typed = {
        name: part if name in {"default", "examples"} else _with_typed_choices(part) for name, part in schema.items()
    }
    choices = typed.get("enum")
    if isinstance(choices, list) and "type" not in typed and len(kinds := {type(choice) for choice in choices}) == 1:
        (kind,) = kinds
        return {"type": _TYPES[kind]} | typed if kind in _TYPES else typed
    return typed


def _output_schema(returns: Any) -> dict[str, Any] | None:
    if returns in (None, type(None), ToolResult) or _promises_nothing(returns) or _is_content(returns):
        return None
    try:
        (root,), definitions = msgspec.json.schema_components([returns], ref_template="#/$defs/{name}")
    except Exception:  # noqa: BLE001 - a return type without a JSON form only means that no output is promised
        return None
    reference = root.get("$ref", "").rsplit("/", 1)[-1]
    schema = dict(definitions[reference]) if reference else dict(root)
    recursive = f'"#/$defs/{reference}"'.encode() in msgspec.json.encode([schema, definitions])
    if reference and not recursive:
        definitions.pop(reference)
    return dict(_with_typed_choices(schema | ({"$defs": definitions} if definitions else {})))


def _promises_nothing(returns: Any) -> bool:
    """Whether it is anything, or a list of anything: content for the model is returned as such a list."""
    if returns in (Any, list, tuple):
        return True
    is_list = typing.get_origin(returns) in (list, tuple, collections.abc.Sequence)
    return is_list and all(part in (Any, ...) for part in typing.get_args(returns))


def _is_content(returns: Any) -> bool:
    """Whether content for the model is all of it or a part of it: content is no value that a schema describes."""
    return returns in _CONTENT_TYPES or any(_is_content(part) for part in typing.get_args(returns))


def _to_result(returned: Any) -> ToolResult:
    if isinstance(returned, ToolResult):
        return returned
    if isinstance(returned, _CONTENT_TYPES):
        return ToolResult(content=(returned,))
    if isinstance(returned, list | tuple) and returned and all(isinstance(part, _CONTENT_TYPES) for part in returned):
        return ToolResult(content=tuple(returned))
    return ToolResult.of(returned)


def _violation(error: msgspec.ValidationError) -> Violation:
    """Msgspec says "Expected `int`, got `str` - at `$.a.b`": the path becomes a JSON Pointer."""
    message, _, path = str(error).partition(" - at ")
    return Violation(path.strip("`").removeprefix("$").replace(".", "/").replace("[", "/").replace("]", ""), message)
