"""Catalogues from elsewhere become tool definitions, line by line."""

from typing import Any

import msgspec
import pytest

from tests.tools.reading import names_of, read, read_one, reasons_of
from toolbox.definitions import TOOL_NAME, ToolAnnotations, ToolDefinition, ToolExample, unique_name
from toolbox.tools.catalogue import Catalogue, ImportedTool, RejectedLine

# One line


def test_everything_that_a_line_says_is_read() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    catalogue = read(
        {
            "id": "w1",
            "name": "get_weather",
            "title": "Weather",
            "description": "Tell the weather.",
            "long_description": "In every city.",
            "author": "someone",
            "category": "weather",
            "tags": ["b", "a", "b"],
            "version": "2.1",
            "input_schema": schema,
            "output_schema": {"type": "string"},
            "examples": ["rain in Oslo?", {"query": "sun?", "arguments": {"city": "Rome"}, "result": "yes"}],
            "annotations": {"readOnlyHint": True, "title": "T"},
            "timeout_seconds": 5,
            "metadata": {"team": "x"},
            "rating": 4.5,
        }
    )

    assert catalogue == Catalogue(
        "test",
        (
            ImportedTool(
                "w1",
                1,
                ToolDefinition(
                    name="get_weather",
                    title="Weather",
                    description="Tell the weather.",
                    long_description="In every city.",
                    author="someone",
                    category="weather",
                    tags=("b", "a"),
                    version="2.1",
                    input_schema=schema,
                    output_schema={"type": "string"},
                    examples=(ToolExample("rain in Oslo?"), ToolExample("sun?", {"city": "Rome"}, "yes")),
                    annotations=ToolAnnotations(title="T", read_only_hint=True),
                    timeout_seconds=5.0,
                    metadata={"id": "w1", "team": "x", "rating": 4.5},
                ),
                {},
            ),
        ),
        (),
    )


def test_a_name_is_enough() -> None:
    catalogue = read({"name": "a"})

    assert catalogue.tools[0].definition == ToolDefinition(name="a", metadata={"id": "a"})
    assert catalogue.changes == {"schema_missing": 1}


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    "line",
    [
        {"name": "a", "description": "d", "input_schema": SCHEMA},
        {"name": "a", "description": "d", "inputSchema": SCHEMA},
        {"name": "a", "description": "d", "parameters": SCHEMA},
        {"name": "a", "description": "d", "input_schema": None, "parameters": SCHEMA},
        {"type": "function", "name": "a", "description": "d", "parameters": SCHEMA},
        {"type": "function", "function": {"name": "a", "description": "d", "parameters": SCHEMA}},
        {"toolSpec": {"name": "a", "description": "d", "inputSchema": {"json": SCHEMA}}},
        {"name": "a", "description": "d", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}},
        {"name": "a", "description": "d", "parameters": [{"name": "city", "type": "str"}]},
    ],
)
def test_the_forms_of_others_are_read(line: dict[str, Any]) -> None:
    definition = read(line).tools[0].definition

    assert (definition.name, definition.description, definition.input_schema) == ("a", "d", SCHEMA)
    assert definition.metadata.keys() <= {"id", "original_schema"}


def test_what_stands_beside_a_wrapped_function_is_kept() -> None:
    definition = (
        read({"id": 7, "tags": ["t"], "type": "function", "function": {"name": "a", "strict": True}})
        .tools[0]
        .definition
    )

    assert (definition.tags, definition.metadata) == (("t",), {"id": "7", "strict": True})


def test_a_changed_schema_is_kept_as_it_was() -> None:
    written = {"type": "dict", "properties": {"a": {"type": "float"}}}
    catalogue = read({"name": "a", "parameters": written, "outputSchema": {"type": "list"}})

    definition = catalogue.tools[0].definition
    assert definition.input_schema == {"type": "object", "properties": {"a": {"type": "number"}}}
    assert definition.output_schema == {"type": "array"}
    assert definition.metadata == {"id": "a", "original_schema": written, "original_output_schema": {"type": "list"}}
    assert catalogue.changes == {"type_mapped": 3}


def test_an_output_schema_that_cannot_be_used_promises_nothing() -> None:
    definition = read_one(output_schema={"$ref": "http://x/y"})

    assert definition.output_schema is None
    assert definition.metadata["output_schema"] == {"$ref": "http://x/y"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", 3),
        ("category", ["a"]),
        ("author", {}),
        ("version", True),
        ("tags", {"a": 1}),
        ("tags", 3),
        ("examples", 3),
        ("examples", [{"input": 1}]),
        ("annotations", "safe"),
        ("annotations", {"readOnlyHint": "yes"}),
        ("timeout_seconds", -1),
        ("metadata", "m"),
    ],
)
def test_a_field_that_only_decorates_and_cannot_be_read_is_kept_in_the_metadata(field: str, value: object) -> None:
    catalogue = read({"name": "a", field: value})

    assert catalogue.tools[0].definition == ToolDefinition(name="a", metadata={"id": "a", field: value})
    assert catalogue.changes == {"schema_missing": 1, "kept_in_metadata": 1}


def test_unknown_annotations_are_kept() -> None:
    definition = read_one(annotations={"idempotentHint": True, "audience": ["user"]})

    assert definition.annotations == ToolAnnotations(idempotent_hint=True)
    assert definition.metadata == {"id": "a", "annotations": {"audience": ["user"]}}


def test_tags_are_distinct_texts() -> None:
    catalogue = read({"name": "a", "tags": [" x ", "x", "", 3, None, "y"]}, {"name": "b", "tags": "x, y ,x"})

    assert [tool.definition.tags for tool in catalogue.tools] == [("x", "y"), ("x", "y")]
    assert catalogue.changes["tag_dropped"] == 3


def test_a_version_may_be_a_number() -> None:
    assert [read_one(version=version).version for version in (2, 1.5, "3-beta", None)] == [
        "2",
        "1.5",
        "3-beta",
        "1.0.0",
    ]


def test_given_metadata_comes_before_unknown_fields() -> None:
    assert read_one(rating=1, metadata={"rating": 2, "id": "other"}, id="mine").metadata == {"rating": 2, "id": "mine"}


# Names and ids


def test_names_are_made_safe_and_unique() -> None:
    catalogue = read(
        {"id": 1, "name": "math.factorial"},
        {"id": 2, "name": "math_factorial"},
        {"id": 3, "name": "math_factorial"},
        {"id": 4, "name": "in_use"},
        {"id": 5, "name": "x" * 70},
        {"id": 6, "name": "!"},
        taken={"in_use"},
    )

    names = names_of(catalogue)
    assert names[:4] == ["math_factorial", "math_factorial_2", "math_factorial_3", "in_use_2"]
    assert names[4].startswith("x" * 55 + "_")
    assert names[5] == "tool"
    assert all(TOOL_NAME.fullmatch(name) for name in names)
    assert catalogue.changes == {"schema_missing": 6, "name_made_safe": 3, "name_made_unique": 3}
    assert [tool.definition.metadata.get("original_name") for tool in catalogue.tools] == [
        "math.factorial",
        "math_factorial",
        "math_factorial",
        "in_use",
        "x" * 70,
        "!",
    ]


def test_names_are_those_of_unique_name() -> None:
    taken = {"a_3", "a_4", "x" * 64}
    lines = [{"id": number, "name": name} for number, name in enumerate(["a", "a", "a_2", "a", "x" * 64, "a"] * 4)]

    catalogue = read(*lines, taken=set(taken))

    expected: list[str] = []
    for line in lines:
        expected.append(unique_name(str(line["name"]), taken | set(expected)))
    assert names_of(catalogue) == expected


def test_importing_again_keeps_every_name() -> None:
    lines = [{"id": number, "name": name} for number, name in enumerate(["a", "a", "b.c", "b_c"])]
    first = read(*lines, taken={"a"})
    names_by_id = {tool.id: tool.definition.name for tool in first.tools}

    again = read(*lines, taken={"a", *names_by_id.values()}, names_by_id=names_by_id)
    turned = read(*reversed(lines), taken={"a", *names_by_id.values()}, names_by_id=names_by_id)

    assert again == first
    assert [tool.definition for tool in reversed(turned.tools)] == [tool.definition for tool in first.tools]


def test_a_new_tool_does_not_take_the_name_of_one_that_comes_later() -> None:
    catalogue = read({"id": "new", "name": "a"}, {"id": "old", "name": "a"}, names_by_id={"old": "a"})

    assert names_of(catalogue) == ["a_2", "a"]


def test_a_tool_renamed_in_the_file_keeps_its_name() -> None:
    definition = read({"id": "1", "name": "better"}, names_by_id={"1": "good"}).tools[0].definition

    assert definition == ToolDefinition(name="good", metadata={"id": "1", "original_name": "better"})


def test_without_an_id_the_name_identifies_the_tool() -> None:
    catalogue = read({"name": "a.b"}, {"id": "", "name": "c"}, {"id": None, "name": "d"})

    assert [tool.id for tool in catalogue.tools] == ["a.b", "c", "d"]


def test_an_export_is_read_back_as_it_was() -> None:
    first = read(
        {
            "id": 1,
            "name": "a b",
            "parameters": {"a": {"type": "str"}},
            "examples": ["q"],
            "annotations": {"readOnlyHint": True},
        },
        {"id": 2, "name": "a_b", "output_schema": {"type": "string"}, "category": "c", "timeout_seconds": 3, "x": [1]},
    )
    exported = [msgspec.json.encode(tool.definition) for tool in first.tools]

    again = read(*exported)

    assert [tool.definition for tool in again.tools] == [tool.definition for tool in first.tools]
    assert [tool.id for tool in again.tools] == ["1", "2"]
    assert again.changes == {}


def test_of_two_lines_with_one_id_the_first_is_imported() -> None:
    catalogue = read({"id": "x", "name": "a"}, {"id": "x", "name": "b"}, {"name": "x"}, {"name": "c"})

    assert names_of(catalogue) == ["a", "c"]
    assert reasons_of(catalogue) == [
        (2, "has the id 'x' of line 1, which is imported"),
        (3, "has the id 'x' of line 1, which is imported"),
    ]


def test_a_rejected_line_does_not_use_up_its_id_or_its_name() -> None:
    catalogue = read({"id": "x", "name": "a", "parameters": 3}, {"id": "x", "name": "a"})

    assert [(tool.line, tool.definition.name) for tool in catalogue.tools] == [(2, "a")]


def test_thousands_of_tools_may_share_a_name() -> None:
    """Counting up from 2 again for each of them would be two hundred million steps."""
    catalogue = read(*({"id": number, "name": "same"} for number in range(20_000)))

    assert names_of(catalogue)[-1] == "same_20000"


# Lines that are rejected


def nested(depth: int) -> str:
    return '{"name": "a", "x": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("name: a", "is not JSON: invalid character (byte 4)"),
        ('{"name": "a"', "is not JSON: Input data was truncated"),
        ('{"name": "a"} {}', "is not JSON: trailing characters (byte 15)"),
        ('{"name": "a", "x": NaN}', "is not JSON: invalid character (byte 19)"),
        ('{"name": "a", "x": 1e999}', "is not JSON: Number out of range - at `$[...]`"),
        ('{"name": "a\tb"}', "is not JSON: invalid character (byte 11)"),
        (b'{"name": "\xff"}', "is not UTF-8 text"),
        ('{"name": "\ud800"}', "is not UTF-8 text"),
        ("3", "is not a JSON object, but 3"),
        ('"a"', 'is not a JSON object, but "a"'),
        ("{}", "has no name"),
        ('{"name": null, "description": "d"}', "has no name"),
        ('{"function": "a"}', "has no name"),
        ('{"name": 3}', "has a name that is not text: 3"),
        ('{"name": " "}', "has a name that is not text: ' '"),
        ('{"name": "a", "id": {}}', "has an id that is neither text nor a whole number: {}"),
        ('{"name": "a", "id": true}', "has an id that is neither text nor a whole number: True"),
        ('{"name": "a", "id": "' + "x" * 501 + '"}', "has an id of 501 characters, and an id has at most 500"),
        ('{"name": "' + "x" * 501 + '"}', "has an id of 501 characters, and an id has at most 500"),
        ('{"name": "a", "description": ["d"]}', "has a description that is not text: ['d']"),
        ('{"name": "a", "parameters": 3}', "a schema is a JSON object, not 3"),
        (
            '{"name": "a", "parameters": {"type": "string"}}',
            "the root of the schema has type 'string'; a tool's arguments are an object",
        ),
        (nested(64), "the tool is nested more than 64 levels deep"),
        (nested(100_000), "is nested too deeply"),
        ('{"name": "a", "x": ' + "9" * 3_000 + "}", "the tool holds an integer of more than 8,192 bits"),
        ('{"name": "a", "x": [' + "1," * 20_000 + "1]}", "the tool holds more than 20,000 values"),
        ('{"name": "' + "a" * 2_000_000 + '"}', "is 2,000,012 bytes long, and a tool has at most 1,048,576"),
    ],
)
def test_a_bad_line_is_rejected_with_its_number_and_a_sentence_and_the_others_go_on(
    line: bytes | str, reason: str
) -> None:
    catalogue = read({"name": "first"}, line, {"name": "last"})

    assert catalogue.rejected == (RejectedLine(2, reason),)
    assert [(tool.line, tool.id) for tool in catalogue.tools] == [(1, "first"), (3, "last")]


def test_the_length_of_a_tool_can_be_limited() -> None:
    catalogue = read({"name": "short"}, {"name": "longer", "x": "y" * 40}, max_tool_bytes=40)

    assert names_of(catalogue) == ["short"]
    assert reasons_of(catalogue) == [(2, "is 67 bytes long, and a tool has at most 40")]
