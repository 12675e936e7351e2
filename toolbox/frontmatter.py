"""The head of a Markdown file: YAML between two lines of `---`. Pure module: no I/O.

It is read by the core schema of YAML 1.2, as clients read it: `yes` and dates are texts, `010` is ten. What JSON cannot
hold, infinity and NaN, stays text too.
"""

import re
from typing import Any

import msgspec
import yaml

from toolbox.errors import InvalidDefinition

_HEAD = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def read_frontmatter(content: bytes, where: str) -> dict[str, Any]:
    """What the head says; `where` names the file in errors.

    Raises:
        InvalidDefinition: There is no head, or it is no YAML object that JSON can hold.
    """
    try:
        head = _HEAD.match(content.decode())
        found = yaml.load(head[1], _CoreLoader) if head else None  # noqa: S506 - it is derived from the safe one
        if isinstance(found, dict):
            return msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Any])
    except (UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise InvalidDefinition(f"{where}: its head cannot be read: {error}") from error
    raise InvalidDefinition(f"{where}: it must begin with YAML between two lines of ---, with name and description")


class _CoreLoader(yaml.SafeLoader):
    """Knows the plain scalars of YAML 1.2 (section 10.3), and no others."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - declared like this in the base


def _read_int(loader: _CoreLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    base = {"0o": 8, "0x": 16}.get(text[:2])
    return int(text[2:], base) if base else int(text)


def _read_float(loader: _CoreLoader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)))


for _tag, _pattern, _beginnings in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("null", r"null|Null|NULL|~|", [*"nN~", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _beginnings)
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _read_int)
_CoreLoader.add_constructor("tag:yaml.org,2002:float", _read_float)
