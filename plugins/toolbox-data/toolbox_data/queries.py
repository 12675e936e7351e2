"""Look values up in a JSON document: by JSON Pointer (one value) or JMESPath (select, filter, reshape)."""

import difflib
import itertools
import re
from typing import Annotated, Any

from msgspec import Meta

import toolbox
from toolbox_data.bounded_jmespath import MAX_EXPRESSION, search
from toolbox_data.conventions import CATEGORY, PURE
from toolbox_data.pointers import read_pointer, write_pointer
from toolbox_data.values import require_json, shown

_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
"""No sign, no leading zero (RFC 6901, section 4); no document has 10^9 elements."""


@toolbox.tool(
    title="Query JSON with JMESPath",
    category=CATEGORY,
    tags=["json", "query", "filter", "jmespath", "extract"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="get the names of all users older than 30 from this JSON",
            arguments={
                "document": {"users": [{"name": "Ann", "age": 41}, {"name": "Bob", "age": 28}]},
                "expression": "users[?age > `30`].name",
            },
            result=["Ann"],
        ),
        toolbox.ToolExample(
            query="sort the products by price and give me only the cheapest",
            arguments={
                "document": [{"id": 1, "price": 9.5}, {"id": 2, "price": 4}],
                "expression": "sort_by(@, &price)[0]",
            },
            result={"id": 2, "price": 4},
        ),
        toolbox.ToolExample(
            query="reshape a list of JSON objects so that each keeps only two fields",
            arguments={
                "document": {"items": [{"sku": "A1", "size": {"cm": 12}, "note": "x"}]},
                "expression": "items[].{sku: sku, length: size.cm}",
            },
            result=[{"sku": "A1", "length": 12}],
        ),
    ],
)
def query(document: Any, expression: Annotated[str, Meta(min_length=1, max_length=MAX_EXPRESSION)]) -> Any:
    """Extract, filter, sort or reshape values in a JSON document with a JMESPath expression.

    JMESPath (jmespath.org) selects with `a.b[0]`, filters with `[?price > `10`]`, reshapes with `{name: n, id: i}`
    and has functions such as `length`, `sort_by`, `join` and `keys`. What is not there is null, not an error. An
    expression that would build a huge result, or take too long, is refused.

    Args:
        document: The JSON value to look in, as JSON and not as text.
        expression: The JMESPath expression; literals stand in backticks, as in `[?age > `30`]`.
    """
    require_json(document, "document")
    result = search(expression, document)
    require_json(result, "the result")
    return result


@toolbox.tool(
    title="Get a value by JSON Pointer",
    category=CATEGORY,
    tags=["json", "pointer", "path", "rfc6901", "extract"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="what is the value at /servers/0/port in this JSON document",
            arguments={"document": {"servers": [{"port": 8080}]}, "pointer": "/servers/0/port"},
            result=8080,
        ),
        toolbox.ToolExample(
            query="read a JSON key that has a slash in its name",
            arguments={"document": {"paths": {"/pets": {"get": "list"}}}, "pointer": "/paths/~1pets/get"},
            result="list",
        ),
    ],
)
def query_pointer(document: Any, pointer: Annotated[str, Meta(max_length=10_000)]) -> Any:
    """Get the one value at an exact path in a JSON document, given as a JSON Pointer such as /users/0/name.

    Follows RFC 6901: the empty pointer is the whole document, `~1` stands for `/` in a key and `~0` for `~`, and
    array positions count from 0. A path that leads nowhere is an error that says how far it led.

    Args:
        document: The JSON value to look in, as JSON and not as text.
        pointer: The path: empty, or steps that each begin with a slash.
    """
    require_json(document, "document")
    steps = read_pointer(pointer)
    value = document
    for position, step in enumerate(steps):
        value = _step_into(value, step, parent=steps[:position])
    return value


def _step_into(value: Any, step: str, parent: list[str]) -> Any:
    where = shown(write_pointer(parent)) if parent else "the top"
    match value:
        case dict():
            if step in value:
                return value[step]
            near = _near_keys(step, value)
            hint = f"; near keys: {', '.join(map(shown, near))}" if near else ""
            raise toolbox.ToolError(f"the object at {where} has no key {shown(step)}{hint}")
        case list():
            if not _ARRAY_INDEX.fullmatch(step):
                raise toolbox.ToolError(
                    f"{shown(step)} is no position in the array at {where}: write a number from 0, without sign or "
                    "leading zeros ('-', the element behind the last, has no value to get)"
                )
            if int(step) >= len(value):
                raise toolbox.ToolError(f"the array at {where} has {len(value)} elements, so there is no {step}")
            return value[int(step)]
    raise toolbox.ToolError(f"{where} is neither an object nor an array, so the step {shown(step)} leads nowhere")


def _near_keys(wanted: str, present: dict[str, Any]) -> list[str]:
    """Keys like the one that is missing; comparing texts takes time that grows with the square of their length."""
    short = [key for key in itertools.islice(present, 1_000) if len(key) <= 50]
    return difflib.get_close_matches(wanted[:50], short, n=3)
