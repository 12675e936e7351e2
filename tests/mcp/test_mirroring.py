"""Arguments that are repeated in headers."""

from typing import Any

import pytest

from toolbox.mcp.mirroring import Mirrored, find_mirrored, find_mismatch

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "where": {"type": "object", "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "plain": {"type": "string"},
    },
}
MIRRORED = find_mirrored(SCHEMA)


def test_arguments_are_found_along_properties() -> None:
    assert (
        Mirrored(("region",), "region"),
        Mirrored(("where", "zone"), "zone"),
        Mirrored(("dry",), "dry"),
    ) == MIRRORED


@pytest.mark.parametrize(
    "properties",
    [
        {"a": {"type": "string", "x-mcp-header": ""}},
        {"a": {"type": "string", "x-mcp-header": "two words"}},
        {"a": {"type": "string", "x-mcp-header": 5}},
        {"a": {"type": "number", "x-mcp-header": "A"}},
        {"a": {"x-mcp-header": "A"}},
        {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}},
    ],
)
def test_a_schema_that_asks_against_the_rules_asks_for_nothing(properties: dict[str, Any]) -> None:
    assert find_mirrored({"type": "object", "properties": properties}) == ()


@pytest.mark.parametrize("schema", [{}, {"properties": []}, {"properties": {"a": True}}, {"items": SCHEMA}])
def test_most_schemas_ask_for_nothing(schema: dict[str, Any]) -> None:
    assert find_mirrored(schema) == ()


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({}, {}),
        ({"region": None}, {}),
        ({"region": "eu"}, {"region": "eu"}),
        ({"region": "ä"}, {"region": "=?base64?w6Q=?="}),
        ({"where": {"zone": 42}}, {"zone": "42"}),
        ({"where": {"zone": 42}}, {"zone": "42.0"}),
        ({"where": "nowhere"}, {}),
        ({"where": {"zone": 2**53 + 1}}, {"zone": str(2**53 + 1)}),
        ({"dry": False}, {"dry": "false"}),
        ({"plain": "x"}, {"other": "y"}),
        (None, {}),
    ],
)
def test_headers_that_repeat_the_arguments_pass(arguments: Any, headers: dict[str, str]) -> None:
    assert find_mismatch(MIRRORED, arguments, headers) is None


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu"}, {}),
        ({}, {"region": "eu"}),
        ({"region": "eu"}, {"region": "us"}),
        ({"region": "eu"}, {"region": "EU"}),
        ({"region": "ä"}, {"region": "=?base64?w6Q?="}),
        ({"where": {"zone": 42}}, {"zone": "forty-two"}),
        ({"where": {"zone": 42}}, {"zone": "43"}),
        ({"where": {"zone": 42}}, {"zone": "4_2"}),
        ({"where": {"zone": 2**53 + 1}}, {"zone": str(2**53)}),
        ({"dry": True}, {"dry": "True"}),
        ({"region": ["eu"]}, {"region": "eu"}),
    ],
)
def test_headers_that_say_something_else_are_named(arguments: Any, headers: dict[str, str]) -> None:
    mismatch = find_mismatch(MIRRORED, arguments, headers)
    assert mismatch is not None
    assert "Mcp-Param-" in mismatch
