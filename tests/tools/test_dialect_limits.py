"""A schema that points outside of itself, or is more than anybody wants to check, is refused in a sentence."""

from itertools import pairwise
from typing import Any

import pytest

from tests.tools.mapping import kinds_of, property_of
from toolbox.errors import InvalidDefinition
from toolbox.tools.dialects import to_json_schema
from toolbox.tools.validity import MAX_DEPTH, MAX_VALUES

# References


@pytest.mark.parametrize("reference", ["#/definitions/gone", "#gone", "#/%zz", "# x", "#/properties/a/type", 3, None])
def test_a_reference_to_nothing_is_dropped(reference: object) -> None:
    mapped = to_json_schema(
        {"type": "object", "properties": {"a": {"$ref": reference, "type": "string"}, "b": {"$ref": "#"}}}
    )

    assert mapped.schema["properties"] == {"a": {"type": "string"}, "b": {"$ref": "#"}}
    assert [change.path for change in mapped.changes] == ["/properties/a/$ref"]


def test_references_that_hold_stay_beside_one_that_does_not() -> None:
    schema = {
        "type": "dict",
        "$defs": {
            "a b/c": {"type": "str"},
            "d": {"$anchor": "here"},
            "e": {"$id": "urn:e", "$defs": {"f": {}}, "$ref": "#/$defs/f"},
        },
        "properties": {
            "a": {"$ref": "#/$defs/a%20b~1c"},
            "b": {"$ref": "#here"},
            "c": {"$ref": "urn:e#/$defs/f"},
            "d": {"$ref": "#/$defs/gone"},
            "e": {"anyOf": [{"$ref": "#/properties/e/anyOf/1"}, {}]},
        },
    }

    mapped = to_json_schema(schema)

    assert [change.path for change in mapped.changes if change.kind == "reference_dropped"] == ["/properties/d/$ref"]


@pytest.mark.parametrize(
    "reference",
    [
        "https://example.invalid/x.json",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "other.json#/a",
        "//host/x",
        "urn:a:b",
    ],
)
def test_a_reference_out_of_the_schema_is_refused(reference: str) -> None:
    for schema in (
        {"type": "object", "$ref": reference},
        {"type": "dict", "properties": {"a": {"items": {"$ref": reference}}}},
        {"type": "object", "$defs": {"a": {"$dynamicRef": reference}}},
        {"type": "object", "$id": "", "$defs": {"a": {"$ref": reference, "$id": "x"}}},
        {"type": "object", "$id": "http://x/y/", "$defs": {"a": {"not": {"$ref": reference}}}},
    ):
        with pytest.raises(InvalidDefinition, match="points outside of the schema, and nothing is ever fetched"):
            to_json_schema(schema)


def test_nothing_is_fetched(requests_seen: tuple[str, list[str]]) -> None:
    address, seen = requests_seen
    for schema in (
        {"type": "object", "$schema": f"{address}/schema"},
        {"type": "object", "$ref": f"{address}/ref"},
        {"type": "object", "$id": f"{address}/id/", "$ref": "relative"},
        {"type": "object", "$dynamicRef": f"{address}/dynamic"},
        {"type": "object", "$defs": {"a": {"$id": f"{address}/nested", "$schema": f"{address}/meta"}}},
        {"type": "object", "$vocabulary": {f"{address}/vocabulary": True}},
    ):
        try:
            to_json_schema(schema)
        except InvalidDefinition:
            continue

    assert seen == []


# Bounds


def nested(keyword: str, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "str"}
    for _ in range(depth):
        schema = {keyword: schema}
    return {"type": "object"} | schema


@pytest.mark.parametrize("depth", [MAX_DEPTH, 5_000, 200_000])
def test_a_nesting_bomb_is_refused_in_a_sentence(depth: int) -> None:
    with pytest.raises(InvalidDefinition, match="the schema is nested more than 64 levels deep"):
        to_json_schema(nested("items", depth))


@pytest.mark.parametrize("keyword", ["items", "not", "additionalProperties"])
def test_a_schema_as_deep_as_allowed_is_mapped(keyword: str) -> None:
    assert kinds_of(nested(keyword, MAX_DEPTH - 2)) == ["type_mapped"]


def test_a_huge_schema_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidDefinition, match="the schema holds more than 20,000 values"):
        to_json_schema({"type": "object", "properties": {str(number): {} for number in range(MAX_VALUES)}})


@pytest.mark.parametrize(
    ("reference", "target"), [("#/$defs/{}", {}), ("#{}", {"$anchor": "{}"}), ("urn:{}", {"$id": "urn:{}"})]
)
def test_references_that_multiply_are_refused(reference: str, target: dict[str, str]) -> None:
    """Validating `{}` against it would check 3^40 subschemas."""
    steps = [f"a{number}" for number in range(41)]
    definitions = {
        step: {key: value.format(step) for key, value in target.items()}
        | {"allOf": [{"$ref": reference.format(following)}] * 3}
        for step, following in pairwise(steps)
    }
    last = {steps[-1]: {key: value.format(steps[-1]) for key, value in target.items()}}

    with pytest.raises(InvalidDefinition, match="references multiply to more than 10,000"):
        to_json_schema({"type": "object", "$ref": reference.format("a0"), "$defs": definitions | last})


def test_honest_recursion_and_long_chains_are_fine() -> None:
    kinds = [f"kind{number}" for number in range(40)]
    anything = {"anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds]}
    tree = {kind: {"type": "object", "properties": {"left": anything, "right": anything}} for kind in kinds}
    chain = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(2000)}

    for schema in ({"type": "object", "$defs": tree}, {"type": "object", "$defs": chain | {"a2000": {}}}):
        assert to_json_schema(schema).schema is schema


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({1: 2}, "a key that is not text"),
        ((1,), "tuple"),
        ({1}, "set"),
        (b"", "bytes"),
    ],
)
def test_what_json_cannot_say_is_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        to_json_schema({"type": "object", "default": value})


def test_an_integer_that_cannot_be_written_is_refused() -> None:
    for schema in (10**5000, {"type": "object", "title": -(10**5000)}):
        with pytest.raises(InvalidDefinition, match="the schema holds an integer of more than 8,192 bits"):
            to_json_schema(schema)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="surrogates not allowed"):
        to_json_schema({"type": "object", "description": "\ud800"})


def test_huge_integers_keep_their_digits() -> None:
    assert property_of({"type": "int", "maximum": 10**40, "const": -(10**30)}) == {
        "type": "integer",
        "maximum": 10**40,
        "const": -(10**30),
    }
