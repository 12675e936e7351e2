"""Resources: a text, bytes, a template, and one to subscribe to."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

from toolbox import resource
from toolbox_conformance.content import red_pixel


@resource("test://static-text", mime_type="text/plain")
async def static_text() -> str:
    """A text that never changes."""
    return "This is the content of the static text resource."


@resource("test://static-binary", mime_type="image/png")
async def static_binary() -> bytes:
    """A picture that never changes."""
    return b64decode(red_pixel())


@resource("test://template/{id}/data", mime_type="application/json")
async def data_by_id(id: str) -> dict[str, str | bool]:  # noqa: A002 - the suite's name
    """What belongs to an id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


@resource("test://watched-resource", mime_type="text/plain")
async def watched() -> str:
    """A text that clients subscribe to."""
    return "This is the content of the watched resource."


RESOURCES: list[Callable[..., Any]] = [static_text, static_binary, data_by_id, watched]
