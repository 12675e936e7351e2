"""A ToolBox plugin in one file."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

import toolbox

GREETINGS = {"en": "Hello", "fr": "Bonjour", "es": "Hola"}


class Greeting(Struct):
    """What the tool gives back; its fields become the output schema."""

    text: str
    language: str


@toolbox.tool(
    title="Greet somebody",
    tags=["text", "politeness"],
    annotations=toolbox.ToolAnnotations(read_only_hint=True),
    examples=[
        toolbox.ToolExample(
            "say hello to Ada in French",
            {"name": "Ada", "language": "fr"},
            {"text": "Bonjour, Ada!", "language": "fr"},
        ),
        toolbox.ToolExample("welcome Grace", {"name": "Grace"}, {"text": "Hello, Grace!", "language": "en"}),
    ],
)
def greet(name: Annotated[str, Meta(min_length=1)], language: Literal["en", "fr", "es"] = "en") -> Greeting:
    """Greet somebody by name, in a language of your choice.

    Args:
        name: Who is greeted.
        language: The language of the greeting.
    """
    if name.isdigit():
        raise toolbox.ToolError("a name has letters in it")
    return Greeting(f"{GREETINGS[language]}, {name}!", language)


@toolbox.hookimpl
def toolbox_tools() -> list[object]:
    """Tell ToolBox which functions are tools."""
    return [greet]
