"""TOML text to JSON, with the parser of Python's standard library."""

import datetime
import re
import tomllib
from typing import Any

import toolbox
from toolbox_data.conventions import CATEGORY, MAX_DEPTH, PURE, Text
from toolbox_data.values import require_json

_TOKEN = re.compile(
    r'''
    (?P<part>
      """(?:\\.|[^\\])*?(?:"{3,5}|\Z)    # texts over several lines may end in quotes of their own
    | \'\'\'.*?(?:'{3,5}|\Z)
    | "(?:[^"\\\n]|\\.)*"
    | '[^'\n]*'
    | [A-Za-z0-9_-]+
    )
    | (?P<dot>[ \t]*\.[ \t]*)
    | \#[^\n]*
    | .
    '''.replace(r"\'", "'"),
    re.VERBOSE | re.DOTALL,
)


@toolbox.tool(
    title="TOML to JSON",
    category=CATEGORY,
    tags=["toml", "json", "convert", "config", "parse"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="convert this TOML config to JSON",
            arguments={"text": 'title = "demo"\n\n[server]\nports = [80, 443]\n'},
            result={"title": "demo", "server": {"ports": [80, 443]}},
        ),
        toolbox.ToolExample(
            query="read a pyproject.toml as JSON with its dates",
            arguments={"text": "[release]\ndate = 2026-03-01\nat = 2026-03-01 09:30:00Z\n"},
            result={"release": {"date": "2026-03-01", "at": "2026-03-01T09:30:00+00:00"}},
        ),
    ],
)
def toml_to_json(text: Text) -> dict[str, Any]:
    """Convert TOML text, such as a pyproject.toml or another config file, to JSON.

    Reads TOML 1.0. Dates and times become ISO 8601 texts. An error names line and column; `nan` and `inf`, which
    JSON cannot hold, are errors too.

    Args:
        text: The TOML text.
    """
    _require_short_keys(text)
    try:
        document: dict[str, Any] = _with_texts_for_dates(tomllib.loads(text))
    except RecursionError as error:
        raise toolbox.ToolError("the document nests too deeply to be read") from error
    except ValueError as error:  # TOMLDecodeError is one; so is Python's refusal of integers with thousands of digits
        message = str(error)
        raise toolbox.ToolError(f"not valid TOML: {message[:1].lower()}{message[1:]}") from error
    require_json(document, "the document")
    return document


def _require_short_keys(text: str) -> None:
    """Refuse keys of very many parts: for `a.a.a...` the time and memory of tomllib grow with the square of the parts.

    50,000 parts, 100 kB of text, take it half a minute.
    """
    parts = 0
    for token in _TOKEN.finditer(text):
        if token["dot"]:
            parts += 1
        elif not token["part"]:
            parts = 0
        if parts > MAX_DEPTH:
            line = text.count("\n", 0, token.start()) + 1
            raise toolbox.ToolError(f"a key on line {line} has more than {MAX_DEPTH} parts")


def _with_texts_for_dates(value: Any) -> Any:
    match value:
        case dict():
            return {key: _with_texts_for_dates(child) for key, child in value.items()}
        case list():
            return [_with_texts_for_dates(child) for child in value]
        case datetime.date() | datetime.time():  # a datetime is a date
            return value.isoformat()
    return value
