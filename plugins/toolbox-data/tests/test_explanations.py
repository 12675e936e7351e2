"""The prompt that explains changes."""

import json

import pytest

import toolbox
from toolbox.prompts import as_prompt
from toolbox_data import toolbox_prompts
from toolbox_data.explanations import Syntax, explain_changes


def patch_of(messages: list[toolbox.PromptMessage]) -> object:
    content = messages[1].content
    assert isinstance(content, toolbox.EmbeddedResource)
    assert content.resource.mime_type == "application/json-patch+json"
    assert content.resource.text is not None
    return json.loads(content.resource.text)


@pytest.mark.parametrize(
    ("syntax", "before", "after"),
    [
        ("json", '{"port": 80, "name": "a"}', '{"name": "a", "port": 8080}'),
        ("yaml", "port: 80\nname: a\n", "name: a\nport: 8080 # moved\n"),
        ("toml", "port = 80\nname = 'a'\n", "name = 'a'\nport = 8080\n"),
    ],
)
def test_the_changes_are_computed_and_the_model_is_asked_to_explain_them(
    syntax: Syntax,
    before: str,
    after: str,
) -> None:
    messages = explain_changes(before, after, syntax, "customer")
    assert isinstance(messages[0].content, toolbox.TextContent)
    assert "a customer" in messages[0].content.text
    path = "/0/port" if syntax == "yaml" else "/port"
    assert patch_of(messages) == [{"op": "replace", "path": path, "value": 8080, "old": 80}]


def test_versions_that_say_the_same_need_no_patch() -> None:
    (message,) = explain_changes('{"a": 1, "b": 2}', '{"b": 2, "a": 1}')
    assert isinstance(message.content, toolbox.TextContent)
    assert "say the same" in message.content.text


@pytest.mark.parametrize(
    ("syntax", "text"), [("json", "{"), ("json", "[" * 100_000), ("yaml", "a: [b"), ("toml", "a=")]
)
def test_a_text_that_cannot_be_read_is_named(syntax: Syntax, text: str) -> None:
    with pytest.raises(toolbox.ToolError, match="after: "):
        explain_changes({"json": "1", "yaml": "a: b", "toml": ""}[syntax], text, syntax)


def test_its_arguments_are_described_and_complete_themselves() -> None:
    (prompt,) = map(as_prompt, toolbox_prompts())
    assert prompt.definition.title
    assert prompt.definition.description
    before, after, syntax, reader = prompt.definition.arguments
    assert all(argument.description for argument in prompt.definition.arguments)
    assert (before.is_required, after.is_required, syntax.is_required) == (True, True, False)
    assert sorted(syntax.choices) == ["json", "toml", "yaml"]
    assert sorted(reader.choices) == ["customer", "engineer", "operator"]
