"""How long a text may be. The limit is part of the type, so it stands in the schema and ToolBox checks it."""

from typing import Annotated

from msgspec import Meta

MAX_CHARACTERS = 100_000

Text = Annotated[str, Meta(max_length=MAX_CHARACTERS)]
