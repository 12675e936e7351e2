"""A tool with an argument that its callers repeat in a header."""

from typing import Annotated

from msgspec import Meta


Region = Annotated[str, Meta(extra_json_schema={"x-mcp-header": "Region"})]


def test_x_mcp_header(region: Region = "") -> str:
    """Repeat the region."""
    return region


TOOLS = [test_x_mcp_header]
