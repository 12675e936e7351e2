"""How clients may show what is offered: icons and annotations (MCP 2026-07-28, Icon and Annotations)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Role = Literal["user", "assistant"]


class Icon(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A picture for a list; `src` is an http(s) or data URI, `sizes` are such as "48x48" or "any"."""

    src: str
    mime_type: str | None = None
    sizes: tuple[str, ...] = ()
    theme: Literal["light", "dark"] | None = None


class Annotations(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Whom something is for, how much it matters (0 to 1), and when it last changed (ISO 8601)."""

    audience: tuple[Role, ...] = ()
    priority: Annotated[float, Meta(ge=0, le=1)] | None = None
    last_modified: str | None = None
