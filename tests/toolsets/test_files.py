"""Toolsets as operators write them down."""

from pathlib import Path

import pytest

from toolbox.errors import InvalidRequest
from toolbox.toolsets.files import read_toolset_file
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition

JSON = """
{"toolsets": {"weather": {"title": "Weather", "max_tokens": 5000,
  "rules": {"include": [{"category": "weather"}, {"name": "get_*", "tags": ["sea"]}], "exclude": [{"name": "x"}]}}}}
"""
TOML = """
[toolsets.weather]
title = "Weather"
max_tokens = 5000
rules.include = [{category = "weather"}, {name = "get_*", tags = ["sea"]}]
rules.exclude = [{name = "x"}]
"""


@pytest.mark.parametrize(("name", "text"), [("toolsets.json", JSON), ("toolsets.toml", TOML)])
def test_a_file_is_json_or_toml(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    rules = Rules((Rule(category="weather"), Rule(name="get_*", tags=("sea",))), (Rule(name="x"),))
    expected = ToolsetDefinition(rules=rules, title="Weather", max_tokens=5000)
    assert read_toolset_file(tmp_path / name) == {"weather": expected}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "{", "truncated"),
        ("a.toml", "[", "cannot be used"),
        ("a.json", "{}", "it lacks the field `toolsets`"),
        ("a.json", '{"toolsets": {"a": {}}}', "toolset 'a': it lacks the field `rules`"),
        (
            "a.json",
            '{"toolsets": {"a": {"titel": "A", "rules": {}}}}',
            "toolset 'a': there is no field `titel`; there are: rules,",
        ),
        (
            "a.json",
            '{"toolsets": {"a": {"rules": {"include": [{"nam": "x"}]}}}}',
            r"toolset 'a': rules.include\[0\]: there is no field `nam`",
        ),
        ("a.json", '{"toolsets": {"a": {"rules": {"include": []}, "max_tokens": 1}}}', ">= 100"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidRequest, match=reason):
        read_toolset_file(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_toolset_file(tmp_path / "none.json")
