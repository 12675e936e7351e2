"""What holds for every catalogue: one that is made up, and those that are real."""

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from tests.tools.reading import names_of, read
from toolbox.definitions import TOOL_NAME, ToolDefinition

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SETS = [
    "bfcl",
    "dockermcp",
    "sealtools",
    "aws_small",
    "composio",
    "googleapis",
    "apizoo",
    "apibench_hf",
    "tldr",
    "metatool",
]


# Whatever comes

MEMBERS = """
    id name description title tags category input_schema inputSchema parameters output_schema annotations examples
    version metadata timeout_seconds function type toolSpec other
"""
members = st.sampled_from(MEMBERS.split())
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["\0", "\ud800", "string"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members | st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)
named = st.builds(
    lambda line, name: {**line, "name": name}, st.dictionaries(members, values, max_size=6), st.sampled_from("aàb ")
)
lines_of_any_kind = st.lists(
    st.binary(max_size=12) | st.text(max_size=12) | st.builds(json.dumps, values | named), max_size=6
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines_of_any_kind)
def test_any_file_is_read_and_what_comes_out_can_be_stored(lines: list[bytes | str]) -> None:
    catalogue = read(*lines)

    names = names_of(catalogue)
    assert len(set(names)) == len(names)
    assert all(TOOL_NAME.fullmatch(name) for name in names)
    assert len({tool.id for tool in catalogue.tools}) == len(names)
    assert all(rejected.line >= 1 and rejected.reason for rejected in catalogue.rejected)
    for tool in catalogue.tools:
        encoded = msgspec.json.encode(tool.definition)
        assert b"\\u0000" not in encoded.replace(b"\\\\", b"")
        assert msgspec.json.decode(encoded, type=ToolDefinition) == tool.definition
        Draft202012Validator(tool.definition.input_schema, offline=True)
    again = read(
        *lines, taken=set(names), names_by_id=dict(zip((tool.id for tool in catalogue.tools), names, strict=True))
    )
    assert again == catalogue


# Real catalogues


def lines_of(name: str) -> Iterable[bytes]:
    if not DATA.is_dir():
        pytest.skip("the real catalogues are not beside this checkout (../shared/data)")
    with (DATA / name / "tools.jsonl").open("rb") as file:
        return file.readlines()


@pytest.mark.parametrize("name", SETS)
def test_every_tool_of_a_real_catalogue_is_imported(name: str) -> None:
    lines = list(lines_of(name))

    catalogue = read(*lines)

    assert catalogue.rejected == ()
    assert [tool.id for tool in catalogue.tools] == [json.loads(line)["id"] for line in lines]
    for line, tool in zip(lines, catalogue.tools, strict=True):
        written = json.loads(line).get("input_schema")
        definition = tool.definition
        Draft202012Validator(definition.input_schema, offline=True)
        assert definition.input_schema["type"] == "object"
        if "original_schema" in definition.metadata:
            assert definition.metadata["original_schema"] == written
        else:
            assert definition.input_schema == (written or {"type": "object"})


def test_all_real_catalogues_together_are_imported_again_under_the_same_names() -> None:
    taken: set[str] = set()
    for name in SETS:
        lines = list(lines_of(name))
        first = read(*lines, taken=taken)
        names_by_id = {tool.id: tool.definition.name for tool in first.tools}
        assert taken.isdisjoint(names_by_id.values())
        taken |= set(names_by_id.values())

        assert read(*lines, taken=taken, names_by_id=names_by_id) == first
        exported = [msgspec.json.encode(tool.definition) for tool in first.tools]
        assert [tool.definition for tool in read(*exported).tools] == [tool.definition for tool in first.tools]
    assert len(taken) == 30_889
