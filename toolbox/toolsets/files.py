"""Toolsets from a file, JSON or TOML: `{"toolsets": {"name": {"rules": {"include": [...]}, ...}}}`."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.errors import InvalidRequest
from toolbox.plain_words import explain
from toolbox.toolsets.schemas import ToolsetDefinition


class ToolsetFile(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds."""

    toolsets: dict[str, dict[str, Any]]


def read_toolset_file(path: Path) -> dict[str, ToolsetDefinition]:
    """The toolsets of a file, by name.

    Raises:
        InvalidRequest: Says what in the file cannot be used.
    """
    try:
        toolsets = msgspec.convert(_decode(path), ToolsetFile).toolsets
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{path} cannot be used: {explain(error, ToolsetFile)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InvalidRequest(f"{path} cannot be used: {error}") from error
    return {name: _read_definition(path, name, fields) for name, fields in toolsets.items()}


def _read_definition(path: Path, name: str, fields: dict[str, Any]) -> ToolsetDefinition:
    try:
        return msgspec.convert(fields, ToolsetDefinition)
    except msgspec.ValidationError as error:
        known = ", ".join(ToolsetDefinition.__struct_fields__)
        hint = f"; there are: {known}" if "unknown field" in str(error) and " - at " not in str(error) else ""
        said = explain(error, ToolsetDefinition)
        raise InvalidRequest(f"{path} cannot be used: toolset {name[:100]!r}: {said}{hint}") from error


def _decode(path: Path) -> Any:
    if path.suffix == ".toml":
        return tomllib.loads(path.read_text(encoding="utf-8"))
    return msgspec.json.decode(path.read_bytes())
