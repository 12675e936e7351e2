"""Resources, prompts and completion of the plugins that ship with ToolBox, as the official Python client meets them."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from mcp import Client, MCPError
from mcp.types import (
    EmbeddedResource,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from tests.conftest import execute, in_database
from tests.flows.conftest import STOP_SECONDS, start_server

MODES = ["auto", "legacy", "2026-07-28"]


@pytest.fixture(scope="module")
async def offers_database_url(postgres: str) -> AsyncIterator[str]:
    """A database for all tests of this module: they only read."""
    name = f"offers_{uuid4().hex}"
    await execute(postgres, f"create database {name}")
    yield in_database(postgres, name)
    await execute(postgres, f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def url(offers_database_url: str) -> Iterator[str]:
    """Where a running server speaks MCP."""
    server = start_server(DATABASE_URL=offers_database_url)
    yield f"{server.url}/mcp"
    server.process.terminate()
    server.process.communicate(timeout=STOP_SECONDS)


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_lists_and_reads_resources(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        skill, *listed = listed
        assert skill == "skill://data/reshape-data/SKILL.md"
        assert listed == ["time://zones", "toolbox://categories", "toolbox://stats"]
        templates = (await client.list_resource_templates()).resource_templates
        own = [template.uri_template for template in templates if not template.uri_template.startswith("skill://")]
        assert own == ["result://{+handle}", "time://zones/{+name}", "toolbox://tools/{name}"]
        assert (await read(client, "time://zones/Asia/Kathmandu"))["offset"] == "+05:45"
        categories = (await read(client, "toolbox://categories"))["categories"]
        assert {"data", "text", "time"} <= {category["name"] for category in categories}
        stats = await read(client, "toolbox://stats")
        assert stats["tools"]["active"] == sum(category["tools"] for category in categories)
        tool = await read(client, "toolbox://tools/time_now")
        assert (tool["title"], tool["runnable"]) == ("Current time", True)


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_is_told_that_there_is_no_such_resource(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        with pytest.raises(MCPError, match="there is no resource") as refused:
            await client.read_resource("time://zones/Nowhere")
        assert refused.value.error.code == (-32002 if mode == "legacy" else -32602)
        assert refused.value.error.data == {"uri": "time://zones/Nowhere"}


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_fills_in_prompts(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        (prompt,) = (await client.list_prompts()).prompts
        assert prompt.name == "data_explain_changes"
        assert prompt.arguments
        assert [argument.name for argument in prompt.arguments if argument.required] == ["before", "after"]
        given = {"before": "port: 80", "after": "port: 8080", "syntax": "yaml", "reader": "operator"}
        asked, patch = (await client.get_prompt("data_explain_changes", given)).messages
        assert isinstance(asked.content, TextContent)
        assert "operator" in asked.content.text
        assert isinstance(patch.content, EmbeddedResource)
        assert isinstance(patch.content.resource, TextResourceContents)
        assert json.loads(patch.content.resource.text)[0]["value"] == 8080
        with pytest.raises(MCPError, match="`after`"):
            await client.get_prompt("data_explain_changes", {"before": "1"})


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_completes_arguments(url: str, mode: Any) -> None:
    async with Client(url, mode=mode) as client:
        zones = ResourceTemplateReference(type="ref/resource", uri="time://zones/{+name}")
        found = await client.complete(zones, {"name": "name", "value": "europe/ber"})
        assert (found.completion.values, found.completion.has_more) == (["Europe/Berlin"], False)
        tools = ResourceTemplateReference(type="ref/resource", uri="toolbox://tools/{name}")
        assert "time_now" in (await client.complete(tools, {"name": "name", "value": "time_"})).completion.values
        prompt = PromptReference(type="ref/prompt", name="data_explain_changes")
        assert (await client.complete(prompt, {"name": "syntax", "value": "y"})).completion.values == ["yaml"]


async def read(client: Client, uri: str) -> Any:
    """The JSON behind a URI."""
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    assert contents.mime_type == "application/json"
    return json.loads(contents.text)
