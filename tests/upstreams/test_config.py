"""What a configuration may say, and what hosts write for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest, SecretUnavailable, SettingsError, UpstreamFailed
from toolbox.settings import Secret
from toolbox.upstreams import jsonc
from toolbox.upstreams.config import Resolver, check_upstream
from toolbox.upstreams.env_files import parse_env_file
from toolbox.upstreams.hosts import read_file, read_mcp_servers, read_servers, to_name


def test_a_url_alone_says_how_it_is_reached() -> None:
    assert Upstream(name="pets", url="https://pets.example/mcp").transport == "http"
    assert Upstream(name="pets", url="https://pets.example/sse").transport == "sse"
    assert Upstream(name="pets", url="https://pets.example/sse", transport="http").transport == "http"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"command": "bash", "args": ["-c", "id"]}, "bash is a shell"),
        ({"command": "/tmp/evil"}, "UPSTREAM_COMMANDS names them"),
        ({"command": "/tmp/npx"}, "UPSTREAM_COMMANDS names them"),
        ({"command": "npx", "env": {"LD_PRELOAD": "x"}}, "env may not set LD_PRELOAD"),
        ({"command": "npx", "env": {"PATH": "x"}}, "env may not set PATH"),
        ({"command": "npx", "env": {"a b": "x"}}, "no name of an environment variable"),
        ({"command": "npx", "args": ["${DATABASE_URL}"]}, "would read ToolBox's environment"),
        ({"transport": "http", "url": "ftp://x"}, "must begin with http"),
        ({"transport": "http", "url": "http://x", "headers": {"Host": "y"}}, "cannot be set"),
        ({"transport": "http", "url": "http://x", "headers": {"X-A": "a\r\nB: c"}}, "line break"),
        ({}, "a command or a url is needed"),
        ({"command": "npx", "url": "http://x"}, "not for a command"),
    ],
)
def test_what_could_do_harm_is_refused(config: dict[str, Any], said: str) -> None:
    upstream = Upstream(name="x", **config)
    with pytest.raises(InvalidRequest) as caught:
        check_upstream(upstream, commands=["npx"], origin="api")
    assert said in caught.value.message


def test_the_operator_of_the_machine_may_more() -> None:
    upstream = Upstream(name="x", command="/opt/own/server", args=("${KEY}",))
    check_upstream(upstream, commands=["npx"], origin="settings")
    check_upstream(Upstream(name="x", command="npx", args=("${KEY}",)), commands=["npx"], origin="import")
    check_upstream(Upstream(name="x", command="/opt/own/server"), commands=["/opt/own/server"], origin="api")
    with pytest.raises(InvalidRequest, match="env may not set"):
        check_upstream(Upstream(name="x", command="npx", env={"LD_PRELOAD": "x"}), commands=[], origin="settings")


async def test_references_are_filled_in_late_and_what_is_missing_is_named() -> None:
    async def read_secret(name: str) -> str:
        if name != "token":
            raise SecretUnavailable(f"there is no secret {name!r}")
        return "s3cret"

    resolve = Resolver({"HOME": "/home/ada", "EMPTY": ""}, read_secret)
    assert await resolve("Bearer ${secret:token}") == "Bearer s3cret"
    assert await resolve("${HOME}/${env:HOME} ${EMPTY:-none} $HOME $${x y}") == "/home/ada//home/ada none $HOME $${x y}"
    for text in ("${secret:other}", "${OTHER}"):
        with pytest.raises(UpstreamFailed, match=r"there is no secret|has no variable") as caught:
            await resolve(text)
        assert caught.value.is_lasting


SERVERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"command": "npx", "args": ["-y", "x"], "env": {"A": 1, "B": True}},
        {"args": ("-y", "x"), "env": {"A": "1", "B": "true"}},
    ),
    ({"type": "stdio", "command": "npx", "env": None}, {"command": "npx"}),
    ({"url": "https://a.example/mcp"}, {"transport": "http"}),
    ({"url": "https://a.example/sse"}, {"transport": "sse"}),
    ({"url": "https://a.example/sse", "type": "streamable-http"}, {"transport": "http"}),
    ({"url": "https://a.example/x", "transport": "streamableHttp"}, {"transport": "http"}),
    ({"url": "https://a.example/x", "type": "SSE"}, {"transport": "sse"}),
    ({"serverUrl": "https://a.example/x"}, {"transport": "http", "url": "https://a.example/x"}),
    ({"httpUrl": "https://a.example/sse", "timeout": 5000}, {"transport": "http", "call_seconds": 5.0}),
    (
        {"type": "local", "command": ["uvx", "thing"], "environment": {"A": "b"}},
        {"command": "uvx", "args": ("thing",), "env": {"A": "b"}},
    ),
    ({"type": "remote", "url": "https://a.example/x", "enabled": False}, {"transport": "http", "enabled": False}),
    ({"command": {"path": "uvx", "args": ["thing"]}}, {"command": "uvx", "args": ("thing",)}),
    ({"command": "npx", "disabled": True, "alwaysAllow": ["x"]}, {"enabled": False}),
    (
        {"command": "npx", "env": {"K": "${input:key}", "H": "${userHome}"}},
        {"env": {"K": "${secret:key}", "H": "${HOME}"}},
    ),
    ({"url": "https://a.example", "headers": {"A": "Bearer ${env:T}"}}, {"headers": {"A": "Bearer ${env:T}"}}),
    (
        {"command": "npx", "session": "serial", "include": ["a*"], "prefix": ""},
        {"session": "serial", "include": ("a*",), "prefix": ""},
    ),
    ({"url": "https://a.example", "auth": {"CLIENT_ID": "me", "CLIENT_SECRET": "s", "scopes": ["a", "b"]}}, {}),
]


@pytest.mark.parametrize(("entry", "expected"), SERVERS)
def test_servers_are_read_as_every_host_writes_them(entry: dict[str, Any], expected: dict[str, Any]) -> None:
    found = read_servers({"mcpServers": {"x": entry}})
    assert found.rejected == {}
    (upstream,) = found.upstreams
    assert {name: getattr(upstream, name) for name in expected} == expected
    check_upstream(upstream, commands=["npx", "uvx"], origin="import")


@pytest.mark.parametrize(
    "section", [("mcpServers",), ("servers",), ("mcp", "servers"), ("mcp",), ("context_servers",), ()]
)
def test_servers_are_found_in_every_host_s_file(section: tuple[str, ...]) -> None:
    document: Any = {"one": {"command": "npx"}}
    for name in reversed(section):
        document = {name: document}
    assert [upstream.name for upstream in read_servers(document).upstreams] == ["one"]


def test_a_bad_entry_is_named_and_the_others_are_read() -> None:
    found = read_file(
        """{ // what we use
        "mcpServers": {
            "good one": {"command": "npx", "args": ["// no comment",],}, /* the last */
            "editor": {"command": "npx", "args": ["${workspaceFolder}/x"]},
            "socket": {"type": "ws", "url": "ws://x"},
            "odd": 5,
        },
        }"""
    )
    assert [(upstream.name, upstream.title, upstream.args) for upstream in found.upstreams] == [
        ("good-one", "good one", ("// no comment",))
    ]
    assert found.rejected.keys() == {"editor", "socket", "odd"}
    assert "means something to an editor only" in found.rejected["editor"]
    assert to_name("x" * 60) != to_name("x" * 61)
    assert len(to_name("x" * 60)) == 40


ENV_FILE = """\ufeff
# what we use
PLAIN = value with spaces   # not this
export TOKEN=abc#def
EMPTY=
QUOTED="two\\nlines # kept \\"so\\""  # comment
LONG='a
b $stays'
PLAIN=the last counts"""


def test_variables_are_read_as_hosts_read_them() -> None:
    assert parse_env_file(ENV_FILE.removeprefix("\ufeff"), where=".env") == {
        "PLAIN": "the last counts",
        "TOKEN": "abc#def",
        "EMPTY": "",
        "QUOTED": 'two\nlines # kept "so"',
        "LONG": "a\nb $stays",
    }
    assert parse_env_file("A=1\r\nB=2", where=".env") == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\n\nhunter2\n", ".env, line 3: NAME=VALUE is expected"),
        ('A="hunter2', ".env, line 1: NAME=VALUE is expected"),
        ('A="hunter2" hunter2', ".env, line 1: NAME=VALUE is expected"),
        ("# x\nPYTHONPATH=hunter2", ".env, line 2: env may not set PYTHONPATH"),
        ("a-b=hunter2", ".env, line 1: 'a-b' is no name"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_without_its_value(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_env_file(text, where=".env")
    assert said in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        (".vscode", "${workspaceFolder}/.env"),
        (".cursor", ".env"),
        (".", ".env"),
        (".", "ABSOLUTE"),
        ("deeper", "../.env"),
    ],
)
def test_a_file_of_variables_is_found_from_where_the_host_s_file_lies(folder: str, named: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / ".env").write_bytes(ENV_FILE.encode())
    server = {"command": "npx", "envFile": named.replace("ABSOLUTE", str(tmp_path / ".env")), "env": {"TOKEN": "own"}}
    file = tmp_path / folder / "mcp.json"
    file.write_text(json.dumps({"servers": {"x": server}}))
    found = read_mcp_servers(Secret(str(file)))
    assert found.rejected == {}
    assert found.upstreams[0].env["TOKEN"] == "own"  # what stands under env comes first
    assert found.upstreams[0].env["EMPTY"] == ""


def test_files_of_variables_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"A=\xe9")
    (tmp_path / "big").write_bytes(b"#" * 300_000)
    named = ("missing", ".", "latin", "big", "${workspaceFolder}/x", "${OTHER}/x", 5)
    servers: dict[str, Any] = {f"s{number}": {"command": "npx", "envFile": each} for number, each in enumerate(named)}
    servers["url"] = {"url": "https://a.example", "envFile": "big"}
    found = read_servers({"mcpServers": servers}, tmp_path / "mcp.json")
    assert found.upstreams == []
    for name, said in (
        ("s0", f"there is no file '{tmp_path}/missing'"),
        ("s1", "there is no file"),
        ("s2", "latin cannot be read: it is not UTF-8"),
        ("s3", "big has more than 262,144 bytes"),
        ("s4", "means something to an editor only"),
        ("s5", "write the path itself"),
        ("s6", "the path of a file"),
        ("url", "for a command"),
    ):
        assert said in found.rejected[name]
    for text in ('{"mcpServers": {"x": {"command": "npx", "envFile": "/etc/passwd"}}}',):
        assert "on ToolBox's own machine" in read_mcp_servers(Secret(text)).rejected["x"]
        assert "on ToolBox's own machine" in read_servers(json.loads(text)).rejected["x"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"mcpServers": 5}', "/no/such/file.json"])
def test_a_setting_that_cannot_be_read_refuses_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="MCP_SERVERS"):
        read_mcp_servers(Secret(text))
    assert read_mcp_servers(None).upstreams == []


FILES = [
    "",
    "{}",
    "{\n  // empty\n}\n",
    '{"mcpServers": {}}',
    '{\n    "mcpServers": {\n        // mine\n        "a": {"command": "x"}, // kept\n    },\n    "o": [1, 2,],\n}\n',
    '{"a": 1}',
    '{"mcpServers": {"toolbox": {"old": true}, "b": {}}, "z": "// no comment"}',
]


@pytest.mark.parametrize("text", FILES)
def test_one_member_is_put_and_taken_out_and_all_else_stays(text: str) -> None:
    before = jsonc.read(text or "{}")
    value = {"url": "http://127.0.0.1:8000/mcp", "list": [1, {"a": "b"}]}
    changed = jsonc.put_member(text, ("mcpServers", "toolbox"), value)
    expected = before | {"mcpServers": before.get("mcpServers", {}) | {"toolbox": value}}
    assert jsonc.read(changed) == expected
    for comment in ("// empty", "// mine", "// kept", "// no comment"):
        assert text.count(comment) == changed.count(comment)
    assert jsonc.put_member(changed, ("mcpServers", "toolbox"), value) == changed
    removed = jsonc.remove_member(changed, ("mcpServers", "toolbox"))
    del expected["mcpServers"]["toolbox"]
    assert jsonc.read(removed) == expected
    assert jsonc.remove_member(removed, ("mcpServers", "toolbox")) == removed
    assert json.loads(jsonc.to_json(removed)) == expected
