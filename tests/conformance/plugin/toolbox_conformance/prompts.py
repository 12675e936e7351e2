"""Prompts: without and with arguments, with content of other kinds, and one that asks its client."""

from collections.abc import Callable
from typing import Any

from toolbox import EmbeddedResource, ImageContent, ResourceContents, ToolContext, prompt
from toolbox_conformance.asking import TEXT, form
from toolbox_conformance.content import red_pixel

WORDS = ("paris", "park", "party", "test")


def words_that_begin_with(typed: str, _given: dict[str, str]) -> list[str]:
    """Words to complete an argument with."""
    return [word for word in WORDS if word.startswith(typed)]


def test_simple_prompt() -> str:
    """Say something simple."""
    return "This is a simple prompt for testing."


@prompt(complete={"arg1": words_that_begin_with})
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """Repeat two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[EmbeddedResource | str]:  # noqa: N803
    """Show a resource, and ask for it to be processed."""
    contents = ResourceContents(resourceUri, "text/plain", text="Embedded resource content for testing.")
    return [EmbeddedResource(contents), "Please process the embedded resource above."]


def test_prompt_with_image() -> list[ImageContent | str]:
    """Show an image, and ask for it to be analyzed."""
    return [ImageContent(red_pixel(), "image/png"), "Please analyze the image above."]


async def test_input_required_result_prompt(context: ToolContext) -> str:
    """Ask for a context, and say it."""
    question = "What context should the prompt use?"
    answer = await context.elicit("user_context", question, form("context", context=TEXT))
    return f"Use this context: {answer.content.get('context')}"


PROMPTS: list[Callable[..., Any]] = [
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
]
