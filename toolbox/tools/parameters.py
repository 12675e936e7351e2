"""Parameters of requests: how values, lists and objects are written into a query and into headers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from toolbox.errors import InvalidDefinition, ToolError
from toolbox.tools.templates import Template, to_text
from toolbox.tools.urls import encode

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t -~\u0080-\U0010ffff]*")
_OWN_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""What belongs to the connection, and not to a tool."""


class Parameter(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a value goes, and how a list or an object is written (OpenAPI 3.1, 4.8.12)."""

    value: str
    style: Literal["repeat", "comma", "space", "pipe", "deep_object", "json"] = "repeat"


def read_parameter(given: str | Parameter, where: str) -> tuple[Template, str]:
    """The template and the style of a parameter."""
    parameter = Parameter(given) if isinstance(given, str) else given
    return Template(parameter.value, f"implementation/{where}"), parameter.style


def check_header_name(name: str) -> str:
    """A name for a header of a tool's own.

    Raises:
        InvalidDefinition: It is none, or belongs to the connection.
    """
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidDefinition(f"implementation/headers/{name[:100]!r}: this is no name of a header")
    if name.lower() in _OWN_HEADERS:
        raise InvalidDefinition(f"implementation/headers/{name}: it belongs to the connection, not to a tool")
    return name


def write_header(
    name: str, given: tuple[Template, str], arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> str:
    """The value of a header in a call.

    Raises:
        ToolError: It would hold a line break or another control character.
    """
    template, style = given
    value = arguments.get(template.only_argument) if template.only_argument else None
    if isinstance(value, list) and style != "json":
        text = ",".join(map(to_text, value))
    else:
        text = template.fill(arguments, secrets)
    return check_header_value(name, text)


def check_header_value(name: str, text: str) -> str:
    """A value for a header.

    Raises:
        ToolError: It holds a line break or another control character.
    """
    if not _HEADER_VALUE.fullmatch(text):
        raise ToolError(f"the header {name} would hold a line break or another control character")
    return text.strip(" \t")


def write_query(
    name: str, given: tuple[Template, str], arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> Iterator[str]:
    """The parts of the query that a parameter becomes in a call; none if an argument of it is missing."""
    template, style = given
    if not template.is_given(arguments):
        return
    key = encode(name)
    value = arguments[template.only_argument] if template.only_argument else None
    if not isinstance(value, list | dict):
        yield f"{key}={template.fill(arguments, secrets, encode, encode)}"
    elif style == "json":
        yield f"{key}={encode(msgspec.json.encode(value).decode())}"
    elif style == "deep_object" and isinstance(value, dict):
        for member, part in value.items():
            yield f"{key}%5B{encode(member)}%5D={encode(to_text(part))}"
    elif isinstance(value, dict):
        pairs = [(encode(member), encode(to_text(part))) for member, part in value.items()]
        if style == "repeat":
            yield from (f"{member}={part}" for member, part in pairs)
        else:
            yield f"{key}={','.join(f'{member},{part}' for member, part in pairs)}"
    elif style in {"repeat", "deep_object"}:
        yield from (f"{key}={encode(to_text(part))}" for part in value)
    else:
        separator = {"comma": ",", "space": "%20", "pipe": "%7C"}[style]
        yield f"{key}={separator.join(encode(to_text(part)) for part in value)}"
