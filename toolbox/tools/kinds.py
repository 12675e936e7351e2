"""Kinds of tools that are stored with how to run them: each is one file, and one line in the table of `services`.

A stored tool has an implementation, a JSON object whose `kind` says who can run it. Tools of plugins have none.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidDefinition
from toolbox.plain_words import locate
from toolbox.tools.base import Tool
from toolbox.tools.validity import check_definition, check_extent

I = TypeVar("I", bound="Implementation")  # noqa: E741 - it stands for implementations only


class Implementation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all implementations have; each kind adds what it needs, and `tag_field="kind", tag=...`."""

    concurrency: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """How many calls of the tool may run at the same time in one process."""


class Kind(Protocol):
    """A way to run stored tools."""

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """Look at an implementation that is to be stored.

        Raises:
            InvalidDefinition: It cannot be used; says where in it, and why.
        """
        ...

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> Tool:
        """A tool that runs it. It was checked when it was stored, but perhaps by an earlier version.

        Raises:
            InvalidDefinition: It cannot be used, or no longer.
        """
        ...


class LazyKind:
    """A kind that is made, and whose libraries are loaded, when the first tool of it is."""

    def __init__(self, make: Callable[[], Kind]) -> None:
        self._make = make
        self._kind: Kind | None = None

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """See Kind."""
        self._get().check(definition, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> Tool:
        """See Kind."""
        return self._get().create(definition, implementation)

    def _get(self) -> Kind:
        self._kind = self._kind or self._make()
        return self._kind


class Kinds:
    """The table of kinds: what can be stored, and run on every replica."""

    def __init__(self, kinds: Mapping[str, Kind] | None = None) -> None:
        self._kinds = dict(kinds or {})

    def __contains__(self, name: object) -> bool:
        return name in self._kinds

    @property
    def names(self) -> list[str]:
        """The kinds that there are."""
        return sorted(self._kinds)

    def check_implementation(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """Look at a definition and its implementation before they are stored.

        Raises:
            InvalidDefinition: It cannot be used; says where in it, and why.
        """
        check_definition(definition)
        check_extent(implementation, "the implementation")
        self._find(implementation).check(definition, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> Tool:
        """A tool that runs a stored implementation.

        Raises:
            InvalidDefinition: It cannot be used, or no longer.
        """
        return self._find(implementation).create(definition, implementation)

    def _find(self, implementation: Mapping[str, Any]) -> Kind:
        name = implementation.get("kind")
        if not isinstance(name, str) or name not in self._kinds:
            raise InvalidDefinition(
                f"implementation/kind: {name!r:.100} is none of the kinds of tools here: {', '.join(self.names)}"
            )
        return self._kinds[name]


def read_implementation(shape: type[I], implementation: Mapping[str, Any]) -> I:
    """An implementation as its kind's struct.

    Raises:
        InvalidDefinition: It does not fit; names the path.
    """
    try:
        return msgspec.convert(dict(implementation), shape)
    except msgspec.ValidationError as error:
        path, said = locate(error, shape)
        pointer = "/".join(["implementation", *re.findall(r"[^.\[\]]+", path)])
        raise InvalidDefinition(f"{pointer}: {said}") from error


def fingerprint(definition: ToolDefinition, implementation: Mapping[str, Any] | None = None) -> bytes:
    """16 bytes that change when anything in the definition or the implementation does."""
    if implementation is None:
        return definition.fingerprint()
    encoded = msgspec.json.encode(implementation, order="deterministic")
    return hashlib.blake2b(definition.fingerprint() + encoded, digest_size=16).digest()
