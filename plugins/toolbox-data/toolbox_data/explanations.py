"""A prompt that explains what changed between two documents: the changes are computed, and the model explains them."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

import toolbox
from toolbox_data.changes import diff_json
from toolbox_data.conventions import Text
from toolbox_data.toml_text import toml_to_json
from toolbox_data.yaml_text import yaml_to_json

Syntax = Literal["json", "yaml", "toml"]
Reader = Literal["engineer", "operator", "customer"]

_NEEDS: Mapping[Reader, str] = {
    "engineer": "an engineer who reviews the change: name the keys, and say what each change does and what may break",
    "operator": "an operator who will roll it out: say what to restart, to watch and to be ready to take back",
    "customer": "a customer: say in everyday words what will be different for them, and leave out what will not",
}


@toolbox.prompt(title="Explain what changed")
def explain_changes(
    before: Text,
    after: Text,
    syntax: Syntax = "json",
    reader: Reader = "engineer",
) -> list[toolbox.PromptMessage]:
    """Explain what changed between two versions of a JSON, YAML or TOML document, such as a config file.

    Args:
        before: The text of the first version.
        after: The text of the second version.
        syntax: What both texts are written in.
        reader: For whom to explain it.
    """
    difference = diff_json(_read(before, syntax, "before"), _read(after, syntax, "after"))
    if difference.equal:
        return [_say("Tell me that the two versions say the same, whatever their order and spacing.")]
    patch = msgspec.json.format(msgspec.json.encode(difference.changes), indent=2).decode()
    return [
        _say(
            f"The JSON Patch (RFC 6902) that follows turns the first version of a {syntax.upper()} document into the "
            f"second; `old` is what stood there before. It is complete. Explain it to {_NEEDS[reader]}. Group changes "
            "that belong together, begin with what matters most, and where a purpose is not plain from the document, "
            "ask instead of guessing."
        ),
        toolbox.PromptMessage(
            "user",
            toolbox.EmbeddedResource(
                toolbox.ResourceContents("data://changes", "application/json-patch+json", text=patch)
            ),
        ),
    ]


def _say(text: str) -> toolbox.PromptMessage:
    return toolbox.PromptMessage("user", toolbox.TextContent(text))


def _read(text: str, syntax: Syntax, name: str) -> Any:
    try:
        return _READERS[syntax](text)
    except toolbox.ToolError as error:
        raise toolbox.ToolError(f"{name}: {error}") from error


def _read_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise toolbox.ToolError(f"not valid JSON: {error}") from error


_READERS: Mapping[Syntax, Callable[[str], Any]] = {
    "json": _read_json,
    "yaml": lambda text: yaml_to_json(text).documents,
    "toml": toml_to_json,
}
