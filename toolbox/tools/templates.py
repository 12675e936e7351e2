"""Templates: texts in which a call's arguments and secrets are put. Pure module: no I/O.

`{name}` stands for an argument and `${secret:name}` for a secret; `{{` and `}}` are braces. What is put in is never
read as a template again.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidDefinition

_TOKEN = re.compile(r"\$\{secret:([A-Za-z0-9_.-]{1,64})\}|\{\{|\}\}|\{([^{}]{1,200})\}|[{}]")
_OPEN_ENDED = ("additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if")


class Argument(NamedTuple):
    """A place for an argument."""

    name: str


class SecretName(NamedTuple):
    """A place for a secret."""

    name: str


class Template:
    """A text with places."""

    def __init__(self, text: str, where: str) -> None:
        """Read a template; `where` says in errors which it is.

        Raises:
            InvalidDefinition: It holds a brace that stands for nothing.
        """
        self.where = where
        self.parts = tuple(_parse(text, where))
        self.arguments = tuple(part.name for part in self.parts if isinstance(part, Argument))
        self.secrets = tuple(part.name for part in self.parts if isinstance(part, SecretName))

    @property
    def only_argument(self) -> str | None:
        """The argument that the template is, if it is nothing else."""
        return self.arguments[0] if len(self.parts) == 1 and self.arguments else None

    def is_given(self, arguments: Mapping[str, Any]) -> bool:
        """Whether everything that the template wants is there; null is nothing."""
        return all(arguments.get(name) is not None for name in self.arguments)

    def fill(
        self,
        arguments: Mapping[str, Any],
        secrets: Mapping[str, str],
        encode: Callable[[str], str] = lambda text: text,
        encode_literal: Callable[[str], str] = lambda text: text,
    ) -> str:
        """The text with values in it, each of them encoded."""
        filled = []
        for part in self.parts:
            if isinstance(part, Argument):
                filled.append(encode(to_text(arguments.get(part.name))))
            elif isinstance(part, SecretName):
                filled.append(encode(secrets[part.name]))
            else:
                filled.append(encode_literal(part))
        return "".join(filled)


class JsonTemplate:
    """A JSON value whose texts are templates; a text that is nothing but an argument becomes its value."""

    def __init__(self, value: Any, where: str) -> None:
        """Read it; see Template."""
        self._value = _read_json(value, where)
        self.arguments = tuple(name for template in _templates(self._value) for name in template.arguments)
        self.secrets = tuple(name for template in _templates(self._value) for name in template.secrets)

    def fill(self, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
        """The value; members whose arguments are missing are left out, and so are they in lists. Null stays null."""
        filled = _fill_json(self._value, arguments, secrets)
        return None if filled is _MISSING else filled


def to_text(value: Any) -> str:
    """An argument inside a text: text as it is, a list of single values with commas, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and not any(isinstance(part, list | dict) for part in value):
        return ",".join(map(to_text, value))
    return "" if value is None else msgspec.json.encode(value).decode()


def check_arguments(definition: ToolDefinition, names: Iterable[str]) -> None:
    """Refuse templates that name arguments which no caller can give.

    Raises:
        InvalidDefinition: Says which.
    """
    schema = definition.input_schema
    known = schema.get("properties") or {}
    if any(schema.get(keyword) not in (None, False) for keyword in _OPEN_ENDED):
        return
    for name in names:
        if name not in known:
            raise InvalidDefinition(
                f"implementation: there is no argument {name!r} in the input schema, which has: "
                f"{', '.join(known) or 'none'}"
            )


_MISSING = object()


def _parse(text: str, where: str) -> Iterator[str | Argument | SecretName]:
    literal, end = "", 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token[0] in {"{{", "}}"}:
            literal += token[0][0]
            continue
        if token[0] in {"{", "}"}:
            raise InvalidDefinition(f"{where}: a single {token[0]!r} stands for nothing; write it twice to mean itself")
        if literal:
            yield literal
            literal = ""
        yield SecretName(token[1]) if token[1] else Argument(token[2])
    literal += text[end:]
    if literal:
        yield literal


def _read_json(value: Any, where: str) -> Any:
    if isinstance(value, str):
        return Template(value, where)
    if isinstance(value, dict):
        return {name: _read_json(member, f"{where}/{name}") for name, member in value.items()}
    if isinstance(value, list):
        return [_read_json(member, f"{where}/{index}") for index, member in enumerate(value)]
    return value


def _templates(value: Any) -> Iterator[Template]:
    if isinstance(value, Template):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _templates(member)


def _fill_json(value: Any, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> Any:
    if isinstance(value, Template):
        if value.only_argument is not None:
            return arguments.get(value.only_argument, _MISSING)
        return value.fill(arguments, secrets) if value.is_given(arguments) else _MISSING
    if isinstance(value, dict):
        members = {name: _fill_json(member, arguments, secrets) for name, member in value.items()}
        return {name: member for name, member in members.items() if member is not _MISSING}
    if isinstance(value, list):
        filled = [_fill_json(member, arguments, secrets) for member in value]
        return [member for member in filled if member is not _MISSING]
    return value
