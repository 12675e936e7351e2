"""What holds for every schema, whatever it says."""

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, validator_for

from toolbox.errors import InvalidDefinition
from toolbox.tools.dialects import MappedSchema, to_json_schema

KEYWORDS = """
    type properties required items enum nullable anyOf oneOf allOf not if then else $ref $defs definitions $id $anchor
    $schema additionalProperties additionalItems patternProperties prefixItems contains minimum exclusiveMinimum
    maxLength pattern default const examples description title format dependencies dependentRequired dependentSchemas
    uniqueItems multipleOf unevaluatedProperties propertyNames $dynamicRef $dynamicAnchor $recursiveAnchor $vocabulary
    name schema city x-vendor
"""
WORDS = """
    string str int float dict list any tuple object array null boolean true false True None List[str] Optional[int] # #a
    #/$defs/a #/properties/city http://x/y urn:x 3 0.5 ( ^a$ a city https://json-schema.org/draft/2020-12/schema
    http://json-schema.org/draft-04/schema#
"""
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
keywords = st.sampled_from(KEYWORDS.split())
any_json = st.recursive(
    scalars | st.sampled_from(WORDS.split()),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(keywords | st.text(max_size=3), children, max_size=5)
    ),
    max_leaves=40,
)
like_schemas = st.dictionaries(keywords, any_json, max_size=6)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(any_json | like_schemas, st.booleans())
def test_any_json_maps_to_a_schema_that_compiles_or_is_refused(schema: Any, object_root: bool) -> None:
    before = copy.deepcopy(schema)
    try:
        mapped = to_json_schema(schema, object_root=object_root)
    except InvalidDefinition:
        pass
    else:
        Draft202012Validator(mapped.schema, offline=True)
        validator_for(mapped.schema, offline=True)
        assert mapped.schema.get("type") == "object" or not object_root
        assert (mapped.schema is schema) == (mapped.changes == ())
        assert to_json_schema(mapped.schema, object_root=object_root) == MappedSchema(mapped.schema)
    assert schema == before


data = scalars | st.sampled_from([{"type": "dict"}, {"$ref": "http://x/y"}, [{"required": True}], {"nullable": True}])
names = st.sampled_from(["a", "b", "type", "required", "items", "properties", "enum", "$ref", "x y/~"])
json_types = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])


def valid_schemas(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Valid 2020-12 by construction, without the three things that are read as another dialect."""
    maps = st.dictionaries(names, children, max_size=3)
    schemas = st.lists(children, min_size=1, max_size=3)
    counts = st.integers(0, 9)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": json_types | st.lists(json_types, min_size=1, max_size=3, unique=True),
            "title": st.text(max_size=3),
            "properties": maps,
            "required": st.lists(names, max_size=3, unique=True),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), children, max_size=2),
            "additionalProperties": children,
            "items": children,
            "prefixItems": schemas,
            "contains": children,
            "allOf": schemas,
            "anyOf": schemas,
            "not": children,
            "if": children,
            "then": children,
            "dependentSchemas": maps,
            "dependentRequired": st.dictionaries(names, st.lists(names, max_size=2, unique=True), max_size=2),
            "unevaluatedProperties": children,
            "minLength": counts,
            "maxItems": counts,
            "exclusiveMinimum": st.integers(),
            "multipleOf": st.floats(0.1, 9),
            "uniqueItems": st.booleans(),
            "format": st.sampled_from(["date", "anything"]),
            "pattern": st.sampled_from(["^a+$", "[0-9]{2}"]),
            "default": data,
            "const": data,
            "examples": st.lists(data, max_size=2),
            "$ref": st.sampled_from(["#", "#/$defs/shared", "#here"]),
            "$comment": st.text(max_size=3),
            "x-vendor": data,
        },
    )


valid_subschemas: st.SearchStrategy[Any] = st.recursive(st.booleans() | st.just({}), valid_schemas, max_leaves=6)
valid_roots = st.builds(
    lambda schema, shared: schema | {"type": "object", "$anchor": "here", "$defs": {"shared": shared}},
    valid_schemas(valid_subschemas),
    valid_subschemas,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(valid_roots)
def test_every_valid_schema_stays_as_it_is(schema: dict[str, Any]) -> None:
    before = json.dumps(schema)
    Draft202012Validator(schema, offline=True)

    mapped = to_json_schema(schema)

    assert mapped.changes == ()
    assert mapped.schema is schema
    assert json.dumps(schema) == before
