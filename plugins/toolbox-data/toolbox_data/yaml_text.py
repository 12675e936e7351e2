"""YAML text to JSON and back, by the rules of YAML 1.2.

The reader builds JSON values straight from the parser's events: no YAML tag can name a Python type, nesting is
bounded before anything recurses, aliases share one value until `require_json` measures what they unfold to, and
each error knows its line. PyYAML's own constructors follow YAML 1.1, where `no` is false and `12:30` is 750.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Annotated, Any

import yaml
from msgspec import Meta, Struct

import toolbox
from toolbox_data.conventions import CATEGORY, MAX_DEPTH, MAX_VALUES, PURE, Text
from toolbox_data.values import require_json, shown

_TAGS = "tag:yaml.org,2002:"
_TEXT_TAG = f"{_TAGS}str"

_CONSTANTS = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
"""Longer ones are read as floats, which overflow and are refused; Python would refuse them with an error of its own."""
_OCTAL_OR_HEXADECIMAL = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNUSUAL_BREAK = re.compile("[\x85\u2028\u2029]")
"""Line breaks in YAML 1.1 only: readers disagree on them unless they are escaped, which takes double quotes."""

_KINDS: dict[str, type] = {"null": type(None), "bool": bool, "int": int, "float": float, "timestamp": str}
"""What an explicit tag such as `!!int` asks for."""

_RESOLVER = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()


class YamlDocuments(Struct, frozen=True):
    """The documents of a YAML text, in order; most texts have one."""

    documents: list[Any]


@toolbox.tool(
    title="YAML to JSON",
    category=CATEGORY,
    tags=["yaml", "json", "convert", "config", "parse"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="convert this YAML to JSON",
            arguments={"text": "name: demo\nports:\n  - 80\n  - 443\ncountry: no\n"},
            result={"documents": [{"name": "demo", "ports": [80, 443], "country": "no"}]},
        ),
        toolbox.ToolExample(
            query="parse a docker compose or Kubernetes file that shares settings with anchors",
            arguments={"text": "base: &base {image: app, tty: true}\nweb:\n  <<: *base\n  image: web\n"},
            result={"documents": [{"base": {"image": "app", "tty": True}, "web": {"image": "web", "tty": True}}]},
        ),
        toolbox.ToolExample(
            query="read a YAML file with several documents and dates",
            arguments={"text": "day: 2026-03-01\n---\nat: 2026-03-01 9:30:00 +1\n"},
            result={"documents": [{"day": "2026-03-01"}, {"at": "2026-03-01T09:30:00+01:00"}]},
        ),
    ],
)
def yaml_to_json(text: Text) -> YamlDocuments:
    """Convert YAML text, such as a config, Kubernetes or docker compose file, to JSON.

    Reads YAML 1.2: only true and false are booleans, so `no`, `on` and `12:30` stay text; dates and times become
    ISO 8601 texts. Anchors, aliases and merge keys (`<<`) are unfolded, within limits. Keys become texts. An error
    names line and column: among them a key that stands twice, `.nan`, `.inf`, and tags such as `!Ref`.

    Args:
        text: The YAML text, with one or more documents.
    """
    try:
        documents = list(_Reader(text).documents())
    except yaml.MarkedYAMLError as error:
        raise _error(error.problem_mark, f"not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:  # a character that YAML forbids
        raise toolbox.ToolError(f"not valid YAML: {error}") from error
    require_json(documents, "the list of documents")
    return YamlDocuments(documents)


@toolbox.tool(
    title="JSON to YAML",
    category=CATEGORY,
    tags=["json", "yaml", "convert", "config", "export"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="write this JSON as YAML",
            arguments={"value": {"name": "demo", "ports": [80, 443], "country": "no", "note": "two\nlines"}},
            result="name: demo\nports:\n- 80\n- 443\ncountry: 'no'\nnote: |-\n  two\n  lines\n",
        ),
        toolbox.ToolExample(
            query="convert a JSON config to a YAML file with sorted keys",
            arguments={"value": {"b": {"c": None}, "a": True}, "sort_keys": True},
            result="a: true\nb:\n  c: null\n",
        ),
    ],
)
def json_to_yaml(value: Any, sort_keys: bool = False, indent: Annotated[int, Meta(ge=2, le=8)] = 2) -> str:
    """Convert a JSON value to YAML text, for a config file or to read it with ease.

    Texts that a YAML reader could take for something else (`no`, `1e3`, `2026-03-01`) are quoted, for readers of
    YAML 1.1 and 1.2 alike, and texts of several lines become blocks.

    Args:
        value: The JSON value to write, as JSON and not as text.
        sort_keys: Whether to sort the keys of every object; otherwise they keep their order.
        indent: Spaces for each level.
    """
    require_json(value, "value")
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=sort_keys,
        indent=indent,
        allow_unicode=True,
        default_flow_style=False,
        width=2**31,
    )
    return text


class _Reader:
    """Builds JSON values from the events of one YAML text."""

    def __init__(self, text: str) -> None:
        # The parser in C, where PyYAML has it, is 17 times as fast. Only its events are used, never its composer:
        # that one recurses in C without a bound and ends the process on deep nesting.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        self._events: Iterator[Any] = yaml.parse(text, Loader=loader)
        self._anchored: dict[str, Any] = {}
        self._merged_keys = 0

    def documents(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchored = {}
                yield self._value(next(self._events), depth=0)

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise _error(event.start_mark, f"the alias *{event.anchor} has no finished anchor before it")
            return self._anchored[event.anchor]
        if depth > MAX_DEPTH:
            raise _error(event.start_mark, f"nests more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            _require_tag(event, "seq")
            value = self._sequence(depth)
        else:
            _require_tag(event, "map")
            value = self._mapping(depth)
        if event.anchor:
            self._anchored[event.anchor] = value
        return value

    def _sequence(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if _is_merge_key(event):
                merged.extend(self._merge_sources(event, self._value(next(self._events), depth + 1)))
                continue
            key = self._key(event, depth)
            if key in own:
                raise _error(event.start_mark, f"the key {shown(key)} stands twice in one mapping")
            own[key] = self._value(next(self._events), depth + 1)
        # A mapping's own keys win over merged ones, and earlier merged ones over later (yaml.org/type/merge.html).
        return {key: child for source in [*reversed(merged), own] for key, child in source.items()}

    def _key(self, event: Any, depth: int) -> str:
        """A key as it is written: JSON has only texts there, and `1`, `yes` and `2026-03-01` are good ones."""
        value = self._value(event, depth + 1)
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        if isinstance(value, str):
            return value
        raise _error(event.start_mark, "JSON has no keys that are lists, mappings or aliases of anything but text")

    def _merge_sources(self, event: Any, value: Any) -> list[dict[str, Any]]:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise _error(event.start_mark, "the merge key << takes a mapping or a list of mappings")
        self._merged_keys += sum(map(len, sources))
        if self._merged_keys > MAX_VALUES:  # each merge copies its keys
            raise _error(event.start_mark, f"merge keys copy more than {MAX_VALUES:,} values")
        return sources


class _Dumper(yaml.SafeDumper):
    """Writes JSON values; shared ones in full, since JSON has no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """PyYAML itself quotes what a reader of YAML 1.1 would misread; for readers of 1.2 and line breaks we decide."""
    if plain_value(text) != text or _UNUSUAL_BREAK.search(text):
        return dumper.represent_scalar(_TEXT_TAG, text, style='"')
    return dumper.represent_scalar(_TEXT_TAG, text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def plain_value(text: str) -> Any:
    """What an unquoted scalar means in the core schema of YAML 1.2 (section 10.3.2), with dates as ISO 8601 text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEXADECIMAL.fullmatch(text):
        return int(text, base=0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NO_NUMBER.fullmatch(text):
        return float(text.replace(".", ""))
    return _iso_date(text)


def _iso_date(text: str) -> str:
    """A date or time in one of the forms of yaml.org/type/timestamp.html as ISO 8601; any other text as it is."""
    node = yaml.ScalarNode(f"{_TAGS}timestamp", text)
    if _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) != node.tag:  # type: ignore[no-untyped-call]
        return text
    try:
        date: datetime.date = _CONSTRUCTOR.construct_yaml_timestamp(node)
    except ValueError:  # looks like a date, but the calendar has no such day
        return text
    return date.isoformat()


def _scalar(event: yaml.ScalarEvent) -> Any:
    tag = event.tag or ("" if event.implicit[0] else _TEXT_TAG)
    if tag in ("!", _TEXT_TAG):
        return event.value
    value = plain_value(event.value)
    if tag and type(value) is not _KINDS.get(tag.removeprefix(_TAGS)):
        raise _error(event.start_mark, f"JSON has nothing for {shown(event.value)} with the tag {shown(tag)}")
    return value


def _require_tag(event: yaml.SequenceStartEvent | yaml.MappingStartEvent, kind: str) -> None:
    if event.tag not in (None, "!", f"{_TAGS}{kind}"):
        raise _error(event.start_mark, f"JSON has nothing for the tag {shown(event.tag)}")


def _is_merge_key(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.tag is None and event.implicit[0]


def _error(mark: Any, problem: str) -> toolbox.ToolError:
    return toolbox.ToolError(f"line {mark.line + 1}, column {mark.column + 1}: {problem}")
