"""The OpenAPI document says what the server does."""

from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from toolbox.app import create_app
from toolbox.settings import Settings


@pytest.fixture
async def document(client: AsyncTestClient[Any]) -> Any:
    return (await client.get("/schema/openapi.json")).json()


async def test_limits_and_refused_fields_are_those_of_the_reader(document: Any) -> None:
    find = document["components"]["schemas"]["FindRequest"]
    assert find["additionalProperties"] is False
    assert find["properties"]["vector_weight"].items() >= {"minimum": 0, "maximum": 1}.items()
    assert find["properties"]["threshold"]["anyOf"] == [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "null"},
    ]
    assert find["properties"]["query"].items() >= {"minLength": 1, "maxLength": 4096, "pattern": r"\S"}.items()
    call = document["components"]["schemas"]["CallToolRequest"]
    assert call["additionalProperties"] is False
    assert {"type": "number", "exclusiveMinimum": 0, "maximum": 3600} in call["properties"]["timeout_seconds"]["anyOf"]
    parameters = document["paths"]["/mcp/list_tools"]["post"]["parameters"]
    assert [(each["name"], each["schema"]) for each in parameters] == [
        ("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ("offset", {"type": "integer", "minimum": 0, "maximum": 1_000_000_000}),
    ]
    assert document["paths"]["/tools/{name}"]["get"]["parameters"][0]["schema"].items() >= {"maxLength": 256}.items()
    assert document["components"]["schemas"]["ToolSummary"]["properties"]["created_at"]["format"] == "date-time"


async def test_every_error_is_described_once_and_named_by_each_route(document: Any) -> None:
    problem = document["components"]["schemas"]["Problem"]["properties"]
    assert {"suggestions", "violations", "request_id", "error_id"} <= problem.keys()
    for item in document["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            assert {"403", "405", "421", "500"} <= responses.keys()
            assert ("413" in responses) is ("requestBody" in operation)
    call = document["paths"]["/calls/{call_id}"]["get"]
    assert "400" not in call["responses"]
    assert call["responses"]["404"] == {"$ref": "#/components/responses/NotFound"}
    assert call["parameters"][0]["schema"]["format"] == "uuid"


async def test_every_reference_leads_somewhere(document: Any) -> None:
    references = [value for key, value in walk(document) if key == "$ref"]
    assert len(references) > 50
    for reference in references:
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


async def test_the_document_is_the_same_each_time(settings: Settings, document: Any) -> None:
    async with AsyncTestClient(create_app(settings), base_url="http://127.0.0.1") as other:
        assert (await other.get("/schema/openapi.json")).json() == document
    examples = [value for key, value in walk(document) if key == "examples"]
    assert ["convert miles to kilometres"] in examples


def walk(value: Any) -> Any:
    """Every member of every object inside."""
    if isinstance(value, list):
        for part in value:
            yield from walk(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from walk(part)
