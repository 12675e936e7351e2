"""What files of catalogues look like: lines, arrays, and the characters and numbers in them."""

import json

import msgspec
import pytest

from tests.tools.reading import names_of, read, read_one, reasons_of
from toolbox.definitions import ToolDefinition
from toolbox.tools.catalogue import Catalogue, RejectedLine


def test_blank_lines_crlf_and_a_byte_order_mark_are_fine() -> None:
    lines = [
        '\ufeff{"name": "a"}\r\n'.encode(),
        b"\r\n",
        b"  \n",
        b' {"name": "b"} \r\n',
        b"nonsense\n",
        b'{"name": "c"}',
    ]

    catalogue = read(*lines)

    assert [(tool.line, tool.id) for tool in catalogue.tools] == [(1, "a"), (4, "b"), (6, "c")]
    assert [rejected.line for rejected in catalogue.rejected] == [5]


@pytest.mark.parametrize("lines", [[], [b""], [b"\n", b"\r\n"], [b"\xef\xbb\xbf"], ["[]"]])
def test_an_empty_file_holds_no_tools(lines: list[bytes | str]) -> None:
    assert read(*lines) == Catalogue("test", (), ())


TOOLS = [
    {"name": "a", "description": "x"},
    {"name": "a b", "x": {"y": []}},
    3,
    {"name": "a", "description": "x"},
    {"name": "c"},
]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (json.dumps(TOOLS), [1, 1, 1, 1, 1]),
        (json.dumps({"tools": TOOLS}), [1, 1, 1, 1, 1]),
        (json.dumps(TOOLS, indent=2), [2, 6, 12, 13, 17]),
        ("\ufeff\n" + json.dumps({"nextCursor": None, "tools": TOOLS}, indent=1), [5, 9, 15, 16, 20]),
    ],
)
def test_a_file_that_is_one_array_is_read(text: str, lines: list[int]) -> None:
    for split in (text.splitlines(keepends=True), text.encode().split(b"\n")):
        catalogue = read(*split)

        assert names_of(catalogue) == ["a", "a_b", "c"]
        assert [tool.line for tool in catalogue.tools] == [lines[0], lines[1], lines[4]]
        assert reasons_of(catalogue) == [
            (lines[2], "entry 3: is not a JSON object, but 3"),
            (lines[3], f"entry 4: has the id 'a' of line {lines[0]}, which is imported"),
        ]


def test_a_file_that_is_one_tool_over_several_lines_is_read() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    text = json.dumps({"name": "a", "parameters": schema, "tools": ["x"]}, indent=2)

    definition = read(*text.splitlines()).tools[0].definition

    assert definition == ToolDefinition(name="a", input_schema=schema, metadata={"id": "a", "tools": ["x"]})


def test_a_broken_first_line_does_not_cost_the_others() -> None:
    catalogue = read('{"name": "a", ', {"name": "b"})

    assert names_of(catalogue) == ["b"]
    assert [rejected.line for rejected in catalogue.rejected] == [1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"name": "a"},]', "not JSON: trailing comma in array (byte 15)"),
        ('[{"name": "a"}]\n[{"name": "b"}]', "not JSON: trailing characters (byte 17)"),
        ("[" * 100_000, "nested too deeply"),
        ('{"tools": 3}', "not JSON: Expected `array`, got `int`"),
    ],
)
def test_a_broken_array_is_rejected_at_once(text: str, reason: str) -> None:
    sentence = f"the file is one JSON array, and it is broken: {reason}"
    assert read(*text.splitlines()) == Catalogue("test", (), (RejectedLine(1, sentence),))


def test_a_large_array_is_rejected_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolbox.tools.catalogue.MAX_DOCUMENT_BYTES", 10)

    assert reasons_of(read('[{"name": "a"}]')) == [
        (1, "the file is one JSON array of 15 bytes, of at most 10; put each tool on a line of its own")
    ]


# Characters and numbers


@pytest.mark.parametrize("escape", [r"\u0000", r"\ud800", r"\uDfff", r"\udc00\ud83d"])
def test_characters_that_postgresql_cannot_store_are_removed(escape: str) -> None:
    line = '{"name": "a%", "description": "x%y", "k%": {"%": ["%z"]}, "parameters": {"properties": {"p%": {}}}}'

    catalogue = read(line.replace("%", escape))

    definition = catalogue.tools[0].definition
    assert definition.description == "xy"
    assert definition.metadata["k"] == {"": ["z"]}
    assert definition.input_schema == {"type": "object", "properties": {"p": {}}}
    assert catalogue.changes["characters_removed"] == 6 * escape.count("u")


def test_other_escapes_stay() -> None:
    description = 'emoji \U0001f600, backslash \\ud800 and \\\\u0000, quote ", é'
    line = json.dumps({"name": "a", "description": description})
    assert r"\ud83d\ude00" in line
    assert r"\\ud800" in line

    catalogue = read(line)

    assert catalogue.tools[0].definition.description == description
    assert catalogue.changes == {"schema_missing": 1}


def test_huge_integers_keep_their_digits() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 10**30}}}
    definition = read_one(input_schema=schema, id=10**25, rank=-(10**20))

    assert definition.input_schema == schema
    assert definition.metadata == {"id": str(10**25), "rank": -(10**20)}
    assert msgspec.json.decode(msgspec.json.encode(definition), type=ToolDefinition) == definition


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    assert read('{"name": "a", "description": "x", "description": "y"}').tools[0].definition.description == "y"
