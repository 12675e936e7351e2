"""Resources: what a client may read by its URI (MCP 2026-07-28, server/resources), as plugins write them.

A function without parameters is one resource. A function whose URI has variables is a resource template: its parameters
are the variables.
"""

import binascii
import inspect
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import docstring_parser
import msgspec
from msgspec import Struct

from toolbox.definitions import ResourceContents, find_non_finite
from toolbox.display import Annotations, Icon
from toolbox.errors import InvalidArguments, InvalidDefinition, NotFound, ToolError
from toolbox.text_functions import Completer, Suggestions, TextFunction
from toolbox.tools.base import ToolContext
from toolbox.uri_templates import UriTemplate

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = "__toolbox_resource__"


class ResourceNotFound(NotFound):
    """Nothing has this URI."""

    code = "resource_not_found"

    def __init__(self, uri: str) -> None:
        super().__init__(f"there is no resource {uri[:200]!r}", uri=uri)


class ResourceDefinition(Struct, frozen=True, kw_only=True):
    """What clients see of a resource; its `uri` is a URI template if it stands for many.

    `size` is in bytes. `metadata` is listed as `_meta`. Clients may keep what they have read for `cache_seconds`.
    """

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    icons: tuple[Icon, ...] = ()
    metadata: dict[str, Any] = {}
    cache_seconds: float = 0


def resource(
    uri: str,
    /,
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    mime_type: str | None = None,
    size: int | None = None,
    annotations: Annotations | None = None,
    icons: Sequence[Icon] = (),
    metadata: Mapping[str, Any] | None = None,
    cache_seconds: float = 0,
    complete: Mapping[str, Completer] | None = None,
) -> Callable[[F], F]:
    """Say that a function is a resource, or with `{variables}` in its URI a resource template.

    It returns text (`str`), `bytes`, `ResourceContents` or several of them, or any other value, which is read as JSON;
    None says that there is no such resource. Name and description are the function's own if not given. `complete`
    suggests values of variables, by their names.
    """

    def mark(function: F) -> F:
        given = {
            "uri": uri,
            "name": name,
            "title": title,
            "description": description,
            "mime_type": mime_type,
            "size": size,
            "annotations": annotations,
            "icons": icons,
            "metadata": metadata,
            "cache_seconds": cache_seconds,
        }
        setattr(function, _OPTIONS, ({key: value for key, value in given.items() if value is not None}, complete or {}))
        return function

    return mark


class Resource:
    """A function that gives the contents of a resource, or of all that a template stands for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read what `@resource` and the signature say.

        Raises:
            InvalidDefinition: It has no URI, or variables and parameters differ, or an option makes no sense.
        """
        options, complete = getattr(function, _OPTIONS, (None, {}))
        if options is None:
            raise InvalidDefinition(f"{function!r} has no URI: put @toolbox.resource(...) above it")
        self.definition = _define(function, options)
        self.template = UriTemplate(self.definition.uri)
        self._function = TextFunction(function, complete)
        _compare(self.template, self._function)

    @property
    def is_template(self) -> bool:
        """Whether it stands for many."""
        return bool(self.template.variables)

    @property
    def has_completions(self) -> bool:
        """Whether there is anything to suggest for its variables."""
        return self._function.has_completions

    async def read(self, uri: str, values: Mapping[str, str], context: ToolContext) -> tuple[ResourceContents, ...]:
        """The contents behind a URI that the template makes of some values.

        Raises:
            ResourceNotFound: The values are not what the function takes, or it knows nothing by them.
            ToolError: The function says that it failed.
        """
        try:
            returned = await self._function.call(uri, values, context)
        except InvalidArguments as error:
            raise ResourceNotFound(uri) from error
        if returned is None:
            raise ResourceNotFound(uri)
        return _to_contents(returned, uri, self.definition.mime_type)

    async def suggest(self, variable: str, typed: str, given: Mapping[str, str], context: ToolContext) -> Suggestions:
        """Values for a variable of which a beginning has been typed."""
        return await self._function.suggest(variable, typed, given, context)


def as_resource(candidate: Any) -> Resource:
    """A resource as it is; a function wrapped as one.

    Raises:
        InvalidDefinition: It is neither, or makes no sense.
    """
    if isinstance(candidate, Resource):
        return candidate
    if callable(candidate):
        return Resource(candidate)
    raise InvalidDefinition(f"{candidate!r} is no function with @toolbox.resource(...) above it")


def _define(function: Callable[..., Any], options: Mapping[str, Any]) -> ResourceDefinition:
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    own = {
        "name": getattr(function, "__name__", None),
        "description": " ".join((parsed.short_description or "").split()) or None,
    }
    try:
        return msgspec.convert(own | dict(options), ResourceDefinition, from_attributes=True)
    except msgspec.ValidationError as error:
        raise InvalidDefinition(f"@resource({options['uri']!r}): {error}") from error


def _compare(template: UriTemplate, function: TextFunction) -> None:
    """Every variable must have its parameter; a parameter without a variable would never be given."""
    parameters = {parameter.name for parameter in function.parameters}
    if missing := [name for name in template.variables if name not in parameters]:
        raise InvalidDefinition(f"{template.text!r}: the function has no parameter {missing[0]!r}")
    if superfluous := sorted(parameters - set(template.variables)):
        raise InvalidDefinition(f"{template.text!r} has no variable for the parameter {superfluous[0]!r}")


def _to_contents(returned: Any, uri: str, mime_type: str | None) -> tuple[ResourceContents, ...]:
    if isinstance(returned, ResourceContents):
        returned = (returned,)
    if isinstance(returned, list | tuple) and returned and all(isinstance(part, ResourceContents) for part in returned):
        for part in returned:
            _check(part)
        return tuple(returned)
    if isinstance(returned, str):
        return (ResourceContents(uri, mime_type or "text/plain", text=returned),)
    if isinstance(returned, bytes | bytearray | memoryview):
        return (ResourceContents(uri, mime_type or "application/octet-stream", blob=b64encode(returned).decode()),)
    return (ResourceContents(uri, mime_type or "application/json", text=_to_json(returned)),)


def _check(contents: ResourceContents) -> None:
    if (contents.text is None) == (contents.blob is None):
        raise ValueError(f"contents of {contents.uri!r} must have either text or blob")
    if contents.blob is not None:
        try:
            binascii.a2b_base64(contents.blob, strict_mode=True)
        except ValueError as error:
            raise ValueError(f"the blob of {contents.uri!r} is not base64: {error}") from error


def _to_json(value: Any) -> str:
    encoded = msgspec.json.encode(value)
    if b"null" in encoded and (path := find_non_finite(value)) is not None:
        raise ToolError(f"the resource cannot be given: {path or 'its value'} is NaN or infinite, unknown to JSON")
    return encoded.decode()
