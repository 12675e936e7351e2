"""Where the references of a schema lead: inside of it or out, to nothing, or to far too much. None is ever fetched."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urljoin

from toolbox.errors import InvalidDefinition

DRAFT_2020_12: Final = "https://json-schema.org/draft/2020-12/"
MAX_EXPANSION = 10_000
"""How many subschemas may apply to one value once references are followed: ten lines could cost years of CPU."""


def check_expansion(schema: dict[str, Any]) -> None:
    """Refuse references that multiply: `a: allOf [b, b], b: allOf [c, c], ...` checks one value 2^n times.

    Only subschemas that apply to the same value count: what lies in properties and items costs the caller an argument
    for each step, and honest recursive schemas would be refused. A reference back to where it came from counts once.
    """
    if not any("$ref" in node or "$dynamicRef" in node for node in _objects(schema)):
        return
    references = References(schema)
    weights: dict[int, int] = {}
    for start in _objects(schema):
        stack = [(start, False)]
        while stack:  # depth first, without recursion: a chain of references may be long
            node, weighed = stack.pop()
            if weighed:
                weights[id(node)] = 1 + sum(weights[id(branch)] for branch in _branches(node, references))
                if weights[id(node)] > MAX_EXPANSION:
                    raise InvalidDefinition(
                        f"the schema's references multiply to more than {MAX_EXPANSION:,} subschemas"
                    )
            elif id(node) not in weights:
                weights[id(node)] = 1
                stack.append((node, True))
                stack.extend((branch, False) for branch in _branches(node, references))


class References:
    """Where the references of a document lead."""

    def __init__(self, document: object) -> None:
        self._resources: dict[str, object] = {"": document}
        self._anchors: dict[tuple[str, str], dict[str, Any]] = {}
        self._bases: dict[int, str] = {}
        remaining: list[tuple[object, str]] = [(document, "")]
        while remaining:
            value, base = remaining.pop()
            if isinstance(value, dict):
                base = base_of(value, base)
                self._remember(value, base)
            members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            remaining.extend((member, base) for member in members)

    def _remember(self, node: dict[str, Any], base: str) -> None:
        self._bases[id(node)] = base
        if isinstance(node.get("$id"), str):
            self._resources[base] = node
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(node.get(keyword), str):
                self._anchors[base, node[keyword]] = node

    def refuse_outside(self, references: dict[str, str]) -> None:
        """Refuse references to other documents, those of JSON Schema itself excepted: every validator has them.

        Raises:
            InvalidDefinition: Names the first.
        """
        for uri, reference in references.items():
            if uri not in self._resources and not uri.startswith(DRAFT_2020_12):
                raise InvalidDefinition(
                    f"$ref {reference!r:.100} points outside of the schema, and nothing is ever fetched; "
                    "put what it points to under $defs"
                )

    def is_broken(self, reference: str, base: str) -> bool:
        """Whether a reference leads to nothing in this document; one that leads outside is another matter."""
        return resource_of(reference, base) in self._resources and self.target(reference, base) is None

    def target(self, reference: str, base: str) -> object:
        """The schema that a reference leads to, or None."""
        uri, fragment = resource_of(reference, base), reference.partition("#")[2]
        if fragment and not fragment.startswith("/"):
            return self._anchors.get((uri, fragment))
        found = _point(self._resources.get(uri), fragment)
        return found if isinstance(found, dict | bool) else None

    def targets_of(self, node: dict[str, Any]) -> list[object]:
        """Where the references of one schema lead."""
        references = [node.get("$ref"), node.get("$dynamicRef")]
        return [self.target(reference, self._bases[id(node)]) for reference in references if isinstance(reference, str)]


def base_of(node: dict[str, Any], outer: str) -> str:
    """The URI that references below a schema are relative to (2020-12 core, 8.2)."""
    identifier = node.get("$id")
    return resource_of(identifier, outer) if isinstance(identifier, str) else outer


def resource_of(reference: str, base: str) -> str:
    """The URI of the schema resource that a reference leads into: its fragment apart."""
    relative = reference.partition("#")[0]
    if not relative:
        return base
    try:
        return urljoin(base, relative)
    except ValueError:  # half an IPv6 address, say: the compiler will not like it either
        return relative


def _point(document: object, pointer: str) -> object:
    """What a JSON Pointer in a URI fragment (RFC 6901, 6) leads to, or None."""
    current = document
    for step in unquote(pointer).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(current, dict):
            current = current.get(name)
        elif isinstance(current, list) and re.fullmatch(r"[0-9]{1,9}", name) and int(name) < len(current):
            current = current[int(name)]
        else:
            return None
    return current


def _objects(value: object) -> Iterator[dict[str, Any]]:
    remaining = [value]
    while remaining:
        current = remaining.pop()
        if isinstance(current, dict):
            yield current
            remaining.extend(current.values())
        elif isinstance(current, list):
            remaining.extend(current)


def _branches(node: dict[str, Any], references: References) -> list[dict[str, Any]]:
    """The subschemas that apply to the same value as the node does."""
    found: list[object] = [node.get(keyword) for keyword in ("not", "if", "then", "else")]
    for keyword in ("allOf", "anyOf", "oneOf"):
        found += node[keyword] if isinstance(node.get(keyword), list) else ()
    for keyword in ("dependentSchemas", "dependencies"):
        found += node[keyword].values() if isinstance(node.get(keyword), dict) else ()
    found += references.targets_of(node)
    return [branch for branch in found if isinstance(branch, dict)]
