"""Whatever text arrives, a parser gives a JSON value or a ToolError: no other error may leave a tool."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_data.csv_text import csv_to_json
from toolbox_data.json_text import format_json, validate_json
from toolbox_data.queries import query, query_pointer
from toolbox_data.toml_text import toml_to_json
from toolbox_data.yaml_text import yaml_to_json

DOCUMENT = {"a": [1, 2.5, "x", None, True, {"b": {}}], "b": "text", "c": {"a": [[1], [2, "y"]]}}

anything = st.text(st.characters(codec="utf-8"), max_size=60)


def made_of(*fragments: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(fragments), max_size=15).map("".join)


yaml_like = made_of(
    *"ab1.:-?[]{},&*!|>'\"#%@`~ \n\t", "- ", ": ", "\n  ", "&a ", "*a", "<<: ", "---\n", "!!int ", "2026-01-01"
)
toml_like = made_of(*"ab1.=[]{},'\"#_+-: \n", '"""', "'''", "[[", "2026-01-01", "T00:00:00Z", "nan", "true", "0x")
csv_like = made_of(*'ab1,;|"\t \r\n', '""', "1.5")
jmespath_like = made_of(
    *"ab01.@*[]{}()|&!<>=`'\",: -?",
    *["[*]", "[?", "[]", "[::", "a.", "a[0]", "c.a", "&a", "`1`", "`null`", "'x'"],
    *["length(", "to_number(", "merge(", "sort_by(", "sum(", "map(", "max(", "contains(", "join(", "ceil("],
)


@pytest.mark.parametrize(
    ("function", "texts"),
    [
        (yaml_to_json, yaml_like),
        (toml_to_json, toml_like),
        (csv_to_json, csv_like),
        (format_json, made_of(*'{}[]:,"\\ua1.e-', "NaN", "null", "Infinity", "\\ud800")),
        (validate_json, made_of(*'{}[]:,"\\ua1.e-', "NaN", "null", "Infinity", "\\ud800")),
        (lambda text: query(DOCUMENT, text or "@"), jmespath_like),
        (lambda text: query_pointer(DOCUMENT, text), made_of(*"/ab01~-", "/a", "/c", "~0")),
    ],
    ids=["yaml", "toml", "csv", "format", "validate", "jmespath", "pointer"],
)
@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")  # of JMESPath's, not ours
def test_any_text_gives_a_json_value_or_a_tool_error(
    function: Callable[[str], Any], texts: st.SearchStrategy[str]
) -> None:
    @given(texts | anything)
    def try_one(text: str) -> None:
        try:
            value = function(text)
        except toolbox.ToolError:
            return
        msgspec.json.decode(msgspec.json.encode(value))

    try_one()
