"""Whatever arrives: never a server error, always a valid answer or none."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mcp.conftest import META, Client

FUZZED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

VERSIONS = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2099-01-01", "", "x"]
METHODS = ["tools/list", "tools/call", "server/discover", "initialize", "ping", "notifications/x", "x", ""]
TOOLS = ["find_tool", "describe_tool", "call_tool", "list_tools", "demo_add", "demo_show", "demo_route", "nothing", ""]

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "query": values,
        "limit": values,
        "offset": values,
        "tags": values,
        "name": st.sampled_from(TOOLS) | values,
        "tool_name": st.sampled_from(TOOLS) | values,
        "arguments": values,
        "a": values,
        "b": values,
    },
)
metas = st.just(META) | st.fixed_dictionaries({}, optional=dict.fromkeys(META, values)) | values
params = (
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(TOOLS) | values,
            "arguments": arguments | values,
            "cursor": values,
            "protocolVersion": st.sampled_from(VERSIONS) | values,
            "level": values,
            "_meta": metas,
        },
    )
    | values
)
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | values},
    optional={
        "id": st.integers() | texts | values,
        "method": st.sampled_from(METHODS) | texts | values,
        "params": params,
        "result": values,
        "error": values,
    },
)
ascii_values = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
headers = st.fixed_dictionaries(
    {},
    optional={
        "mcp-protocol-version": st.sampled_from(VERSIONS) | ascii_values,
        "mcp-method": st.sampled_from([*METHODS, "=?base64?eA==?="]) | ascii_values,
        "mcp-name": st.sampled_from(TOOLS) | ascii_values,
        "mcp-param-region": ascii_values,
        "accept": st.sampled_from(["application/json", "text/event-stream", "*/*", ",;"]),
    },
)


def check_error(error: dict[str, Any]) -> None:
    assert error.keys() <= {"code", "message", "data"}
    assert isinstance(error["code"], int)
    assert error["code"] != -32603, error
    assert error["message"]


def check_answer(answer: Any) -> None:
    assert answer["jsonrpc"] == "2.0"
    assert ("result" in answer) != ("error" in answer)
    assert answer.get("id", 0) is not None
    assert "result" not in answer or "id" in answer
    if "error" in answer:
        check_error(answer["error"])


async def send_and_check(mcp: Client, body: bytes, given_headers: dict[str, str]) -> None:
    answer = await mcp.send(body, given_headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code == 202:
        assert answer.content == b""
        return
    said = json.loads(answer.content)
    for part in said if isinstance(said, list) else [said]:
        check_answer(part)


def nested(name: str, depth: int) -> bytes:
    """A call of a tool with an argument that is nested so deep."""
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%b","arguments":%b}}'
    return call % (name.encode(), b'{"number":%b}' % (b"[" * depth + b"]" * depth))


@FUZZED
@given(body=st.binary(max_size=200), given_headers=headers)
async def test_any_bytes_are_answered(mcp: Client, body: bytes, given_headers: dict[str, str]) -> None:
    await send_and_check(mcp, body, given_headers)


@FUZZED
@given(value=values | st.lists(messages, max_size=3), given_headers=headers)
async def test_any_json_is_answered(mcp: Client, value: Any, given_headers: dict[str, str]) -> None:
    await send_and_check(mcp, json.dumps(value).encode(), given_headers)


@settings(FUZZED, max_examples=600)
@given(message=messages, given_headers=headers)
async def test_any_message_is_answered(mcp: Client, message: Any, given_headers: dict[str, str]) -> None:
    await send_and_check(mcp, json.dumps(message).encode(), given_headers)


@settings(FUZZED, max_examples=400)
@given(name=st.sampled_from(TOOLS), given_arguments=arguments, era=st.sampled_from(["stateless", "handshake"]))
async def test_any_arguments_are_answered(mcp: Client, name: str, given_arguments: Any, era: str) -> None:
    answer = await getattr(mcp, era)("tools/call", {"name": name, "arguments": given_arguments})
    assert answer.status_code < 500
    check_answer(answer.json())


HURTFUL = [
    b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"ping"}',
    b'{"jsonrpc":"2.0","id":' + b"9" * 10_000 + b',"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
    b'{"jsonrpc":"2.0","id":"\\udc00\\ud800","method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud83d"}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":-Infinity}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo_add","arguments":{"a":NaN}}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo_lie","arguments":{"a":1e999}}}',
    *[nested(name, depth) for depth in (100, 500, 900, 950, 1000, 100_000) for name in ("demo_lie", "find_tool")],
    *[nested("demo_add", depth) for depth in (100, 200, 300, 500, 1000, 100_000)],
    *[b"[" * depth for depth in (1, 900, 100_000)],
    *[b'{"a":' * depth for depth in (1, 900, 100_000)],
    b"\x00",
    b"\xff\xfe{\x00}\x00",
    b'{"jsonrpc":"2.0","id":1,"method":"ping","\xc3\x28":1}',
]


@pytest.mark.parametrize("version", ["2025-11-25", None])
async def test_json_made_to_hurt_is_answered(mcp: Client, version: str | None) -> None:
    for body in HURTFUL:
        await send_and_check(mcp, body, {"mcp-protocol-version": version} if version else {})
