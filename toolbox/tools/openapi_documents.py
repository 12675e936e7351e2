"""OpenAPI documents as text: JSON or YAML of strangers, read without being taken in by it. Pure module: no I/O.

YAML has ways to be much larger than it looks (aliases that multiply), and deeper than what reads it can go.
"""

import re
from typing import Any, Final

import msgspec
import yaml

from toolbox.errors import InvalidDefinition

MAX_DOCUMENT_BYTES: Final = 32 * 1024 * 1024
MAX_DOCUMENT_VALUES: Final = 2_000_000
MAX_DOCUMENT_DEPTH: Final = 100


def parse_document(content: bytes) -> dict[str, Any]:
    """A document out of JSON or YAML.

    Raises:
        InvalidDefinition: It is neither, too large, or no OpenAPI document that is understood.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidDefinition(f"the document is longer than {MAX_DOCUMENT_BYTES:,} bytes")
    document = _Plain().copy(_load(content))
    version = document.get("openapi") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not str(version or "").startswith(("3.0", "3.1")):
        is_older = isinstance(document, dict) and "swagger" in document
        what = "Swagger 2.0, which converters bring to 3.0" if is_older else version
        said = f"not {what!s:.60}" if what is not None else "and the document names no version"
        raise InvalidDefinition(f"openapi: 3.0 or 3.1 is expected, {said}")
    return document


def _load(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # then it is YAML, most likely
    try:
        _refuse_depth(content)
        return yaml.load(content, Loader=_Loader)  # noqa: S506 - a SafeLoader of our own
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidDefinition(f"the document is neither JSON nor YAML: {error!s:.300}") from error


def _refuse_depth(content: bytes) -> None:
    """Look at the events alone: what makes values of them goes as deep as the document, and may take the process."""
    depth = 0
    for event in yaml.parse(content, Loader=_Loader):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
            if depth > MAX_DOCUMENT_DEPTH:
                raise _too_much()
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1


def _too_much() -> InvalidDefinition:
    return InvalidDefinition("the document is nested too deeply, or holds too much")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as OpenAPI wants it: with the scalars of JSON, so that neither dates nor `no` become something else."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in {"null", "merge"}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]{0,300})$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"),
    list("-0123456789"),
)


class _Plain:
    """Copies a document, with text as keys; aliases that multiply are counted each time, and stopped."""

    def __init__(self) -> None:
        self._left = MAX_DOCUMENT_VALUES

    def copy(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DOCUMENT_DEPTH:
            raise _too_much()
        if isinstance(value, dict):
            return {_key(name): self.copy(member, depth + 1) for name, member in value.items()}
        if isinstance(value, list):
            return [self.copy(member, depth + 1) for member in value]
        return value if isinstance(value, str | int | float | bool | None) else str(value)


def _key(name: Any) -> str:
    return name if isinstance(name, str) else str(name).lower()
