"""Catalogues of a few lines, and what comes of them."""

import json
from typing import Any

from toolbox.definitions import ToolDefinition
from toolbox.tools.catalogue import Catalogue, read_catalogue


def read(*lines: bytes | str | dict[str, Any], **options: Any) -> Catalogue:
    encoded = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    return read_catalogue(encoded, source="test", **options)


def read_one(**members: Any) -> ToolDefinition:
    """The definition of a line; it has a name if the members give none."""
    catalogue = read({"name": "a", **members})
    assert catalogue.rejected == ()
    return catalogue.tools[0].definition


def names_of(catalogue: Catalogue) -> list[str]:
    return [tool.definition.name for tool in catalogue.tools]


def reasons_of(catalogue: Catalogue) -> list[tuple[int, str]]:
    return [(rejected.line, rejected.reason) for rejected in catalogue.rejected]
