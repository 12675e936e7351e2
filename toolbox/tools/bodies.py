"""Bodies of requests, made from arguments: JSON, forms, forms with files, and anything else. Pure module: no I/O."""

import re
import secrets as random
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import quote_plus

import msgspec
from msgspec import Struct

from toolbox.errors import InvalidDefinition, ToolError
from toolbox.tools.templates import JsonTemplate, Template, to_text

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+(\s*;\s*[A-Za-z0-9_-]+=[A-Za-z0-9_.\"-]+)*")


class JsonBody(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json"):
    """A JSON value; members whose arguments are missing are left out."""

    value: Any
    content_type: str = "application/json"


class FormBody(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="form"):
    """Fields as `application/x-www-form-urlencoded`; a list becomes a field for each of its values."""

    fields: dict[str, str] = {}
    all_of: str | None = None
    """An argument that is an object, whose members are fields too."""


class FilePart(Struct, frozen=True, forbid_unknown_fields=True):
    """A file in a form; with `base64`, that is what the argument holds."""

    value: str
    filename: str = "file"
    content_type: str = "application/octet-stream"
    encoding: Literal["text", "base64"] = "text"


class MultipartBody(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="multipart"):
    """Fields and files as `multipart/form-data` (RFC 7578)."""

    fields: dict[str, str | FilePart]


class RawBody(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="raw"):
    """Text, or with `base64` the bytes that it stands for."""

    value: str
    content_type: str = "text/plain; charset=utf-8"
    encoding: Literal["text", "base64"] = "text"


Body: TypeAlias = JsonBody | FormBody | MultipartBody | RawBody


class Payload(Struct, frozen=True):
    """What is sent."""

    content: bytes
    content_type: str | None


class BodyWriter(Protocol):
    """Writes the bodies of one tool."""

    arguments: tuple[str, ...]
    secrets: tuple[str, ...]

    def write(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Payload | None:
        """The body of a call; none where all of it is left out.

        Raises:
            ToolError: An argument cannot be sent so.
        """
        ...


def make_body_writer(body: Body) -> BodyWriter:
    """The writer for a body.

    Raises:
        InvalidDefinition: A template or a media type in it cannot be used.
    """
    if isinstance(body, JsonBody):
        return _JsonWriter(body)
    if isinstance(body, FormBody):
        return _FormWriter(body)
    return _MultipartWriter(body) if isinstance(body, MultipartBody) else _RawWriter(body)


class _JsonWriter:
    def __init__(self, body: JsonBody) -> None:
        self._template = JsonTemplate(body.value, "implementation/body/value")
        self._is_one_argument = isinstance(body.value, str)
        self._content_type = _check_media_type(body.content_type)
        self.arguments, self.secrets = self._template.arguments, self._template.secrets

    def write(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Payload | None:
        if self._is_one_argument and not any(name in arguments for name in self.arguments) and self.arguments:
            return None
        return Payload(msgspec.json.encode(self._template.fill(arguments, secrets)), self._content_type)


class _FormWriter:
    def __init__(self, body: FormBody) -> None:
        self._fields = {
            name: Template(value, f"implementation/body/fields/{name}") for name, value in body.fields.items()
        }
        whole = [] if body.all_of is None else [Template(body.all_of, "implementation/body/all_of")]
        if whole and whole[0].only_argument is None:
            raise InvalidDefinition("implementation/body/all_of: one argument is expected, as {name}")
        self._all_of = whole[0].only_argument if whole else None
        self.arguments, self.secrets = _names([*self._fields.values(), *whole])

    def write(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Payload | None:
        pairs = [
            f"{quote_plus(name)}={quote_plus(value)}"
            for name, template in self._fields.items()
            for value in _values(template, arguments, secrets)
        ]
        members = arguments.get(self._all_of) if self._all_of else None
        for name, value in members.items() if isinstance(members, dict) else ():
            values = value if isinstance(value, list) else [value]
            pairs += [f"{quote_plus(name)}={quote_plus(to_text(one))}" for one in values]
        return Payload("&".join(pairs).encode("ascii"), "application/x-www-form-urlencoded")


class _MultipartWriter:
    def __init__(self, body: MultipartBody) -> None:
        self._parts: list[tuple[str, Template, Template | None, FilePart | None]] = []
        for name, given in body.fields.items():
            where = f"implementation/body/fields/{name}"
            if isinstance(given, str):
                self._parts.append((name, Template(given, where), None, None))
            else:
                _check_media_type(given.content_type)
                filename = Template(given.filename, f"{where}/filename")
                self._parts.append((name, Template(given.value, f"{where}/value"), filename, given))
        self.arguments, self.secrets = _names(
            template for _, value, filename, _ in self._parts for template in (value, filename) if template
        )

    def write(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Payload | None:
        boundary = random.token_hex(16)  # that no caller can guess, and so none can end a part early
        lines = []
        for name, template, filename, file in self._parts:
            for value in _values(template, arguments, secrets):
                head = f'Content-Disposition: form-data; name="{_escape(name)}"'
                content = value.encode()
                if file is not None and filename is not None:
                    shown = filename.fill(arguments, secrets) if filename.is_given(arguments) else "file"
                    head += f'; filename="{_escape(shown)}"\r\nContent-Type: {file.content_type}'
                    content = _decode_base64(value, template) if file.encoding == "base64" else content
                lines.append(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary.encode(), head.encode(), content))
        lines.append(b"--%b--\r\n" % boundary.encode())
        return Payload(b"".join(lines), f"multipart/form-data; boundary={boundary}")


class _RawWriter:
    def __init__(self, body: RawBody) -> None:
        self._template = Template(body.value, "implementation/body/value")
        self._content_type = _check_media_type(body.content_type)
        self._is_base64 = body.encoding == "base64"
        self.arguments, self.secrets = self._template.arguments, self._template.secrets

    def write(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Payload | None:
        if not self._template.is_given(arguments):
            return None
        text = self._template.fill(arguments, secrets)
        content = _decode_base64(text, self._template) if self._is_base64 else text.encode()
        return Payload(content, self._content_type)


def _names(templates: Iterable[Template]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    every = list(templates)
    arguments = tuple(name for template in every for name in template.arguments)
    return arguments, tuple(name for template in every for name in template.secrets)


def _values(template: Template, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> list[str]:
    """The texts of a field: one for each member of a list, none where the argument is missing."""
    if not template.is_given(arguments):
        return []
    value = arguments[template.only_argument] if template.only_argument else None
    return list(map(to_text, value)) if isinstance(value, list) else [template.fill(arguments, secrets)]


def _escape(text: str) -> str:
    """A name inside quotes, as browsers write it (HTML, 4.10.21.8)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _decode_base64(text: str, template: Template) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise ToolError(f"{', '.join(template.arguments)}: it is not base64: {error}") from error


def _check_media_type(text: str) -> str:
    if not _MEDIA_TYPE.fullmatch(text):
        raise InvalidDefinition(f"implementation/body: {text[:100]!r} is no media type")
    return text
