"""toolbox upstreams, import --mcp and export --mcp: from hosts' files into the catalogue, and back."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import run_toolbox
from tests.upstreams.conftest import HOSTILE
from tests.upstreams.packages import server, write_wheel
from toolbox.errors import InvalidRequest
from toolbox.upstreams.export import TARGETS, remove_entry, write_entry
from toolbox.upstreams.server_json import is_server_json, read_server_json


def test_a_file_is_imported_looked_at_and_removed(database_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        allowed, others = f"npx,{sys.executable}", "calculator,data,minilm,text,time"
        return run_toolbox(*arguments, DATABASE_URL=database_url, UPSTREAM_COMMANDS=allowed, PLUGINS_DISABLED=others)

    file = tmp_path / ".vscode" / "mcp.json"
    file.parent.mkdir()
    (tmp_path / ".env").write_text("TOKEN=very secret too\n")
    server = {"command": sys.executable, "args": [HOSTILE], "env": {"KEY": "very secret"}}
    server["envFile"] = "${workspaceFolder}/.env"
    file.write_text(json.dumps({"mcpServers": {"pets": server, "shell": {"command": "bash"}}}) + "// comment")
    done = run("import", "--mcp", str(file))
    assert done.returncode == 1
    assert done.stdout == "pets: created, 12 tools\n"
    assert "shell: upstream 'shell': bash is a shell" in done.stderr
    (listed,) = json.loads(run("upstreams", "list", "--json").stdout)
    assert (listed["name"], listed["tools"], listed["origin"]) == ("pets", 12, "import")
    shown = run("upstreams", "show", "pets").stdout
    assert '{"TOKEN":"***","KEY":"***"}' in shown
    assert "very secret" not in shown
    environment = json.loads(run("call", "pets__environment", "--json").stdout)["result"][0]["text"]
    assert json.loads(environment)["TOKEN"] == "very secret too"
    assert json.loads(run("call", "pets__echo", "text=hi", "--json").stdout)["result"][0]["text"] == "hi"
    assert run("call", "pets__echo", "text=hi").stdout == "hi\n"
    assert "`toolbox upstreams list`" in run("upstreams", "show", "nothing").stderr
    assert "is no name of a package" in run("upstreams", "install", "other", "pypi:").stderr
    assert (
        run("upstreams", "refresh", "pets").stdout
        == "pets: 0 added, 0 updated, 0 shown, 0 hidden, 0 pending, 0 withdrawn, 12 unchanged\n"
    )
    assert run("upstreams", "remove", "pets").stdout == "pets: removed\n"


def test_a_server_is_installed_and_upgraded(database_url: str, tmp_path: Path) -> None:
    """From a folder of wheels, in one command, as the operator of the machine."""

    def run(*arguments: str) -> Any:
        places = {
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(tmp_path),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(tmp_path),
        }
        others = {"PLUGINS_DISABLED": "calculator,data,minilm,text,time", "DATA_DIR": str(tmp_path / "data")}
        return run_toolbox(*arguments, DATABASE_URL=database_url, **places, **others)

    write_wheel(tmp_path, "1.0", server("1.0"))
    refused = run("upstreams", "install", "pets", "pypi:pets-server")  # nobody is there to agree
    assert "Install and run pypi:pets-server?" in refused.stderr
    done = run("upstreams", "install", "--yes", "pets", "pypi:pets-server")
    assert done.stdout == "pets: created, 1 tool\n"
    write_wheel(tmp_path, "1.1", server("1.1"))
    assert run("upstreams", "upgrade", "pets").stdout == "pets: is being upgraded\n"
    assert json.loads(run("call", "pets__version", "--json").stdout)["result"][0]["text"] == "1.1"
    assert run("upstreams", "remove", "pets").stdout == "pets: removed\n"
    assert list((tmp_path / "data" / "upstreams").iterdir()) == []

    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"pets": {"source": "pypi:pets-server"}}}))
    asked = run("import", "--mcp", str(file))
    assert "Install and run pypi:pets-server?" in asked.stderr


@pytest.mark.parametrize("target", list(TARGETS))
def test_toolbox_is_written_into_every_host_s_file(target: Any, tmp_path: Path) -> None:
    file, section = tmp_path / "host.json", TARGETS[target].section
    file.write_text(f'{{\n  // mine\n  "{section}": {{"other": {{"command": "x"}}}},\n}}\n')
    file.chmod(0o640)
    assert write_entry(target, url="http://127.0.0.1:8000/mcp", name="toolbox", file=file, key_variable="KEY") == file
    text = file.read_text()
    assert "// mine" in text
    assert '"other": {"command": "x"}' in text
    assert "http://127.0.0.1:8000/mcp" in text
    assert "KEY" in text
    assert file.stat().st_mode & 0o777 == 0o640
    assert remove_entry(target, name="toolbox", file=file) == (file, True)
    assert "8000" not in file.read_text()
    assert remove_entry(target, name="toolbox", file=file) == (file, False)
    assert list(tmp_path.iterdir()) == [file]
    file.write_text("{ not JSON")
    with pytest.raises(InvalidRequest, match="not JSON"):
        write_entry(target, url="http://x", name="toolbox", file=file, key_variable=None)
    assert file.read_text() == "{ not JSON"


PACKAGE = {
    "registryType": "npm",
    "identifier": "@scope/server",
    "version": "1.2.3",
    "transport": {"type": "stdio"},
    "packageArguments": [
        {"type": "positional", "value": "/data"},
        {"type": "named", "name": "--mode", "default": "fast"},
        {"type": "positional", "valueHint": "optional"},
    ],
    "environmentVariables": [
        {"name": "API_KEY", "isRequired": True, "isSecret": True},
        {"name": "REGION", "isRequired": True},
        {"name": "DEBUG"},
    ],
}


def test_a_server_of_the_registry_is_run_by_an_argument_list() -> None:
    document = {"name": "io.github.me/weather", "description": "d", "packages": [PACKAGE]}
    assert is_server_json(document)
    upstream = read_server_json(document)
    assert (upstream.name, upstream.title, upstream.command) == ("weather", "io.github.me/weather", "npx")
    assert upstream.args == ("-y", "@scope/server@1.2.3", "/data", "--mode", "fast")
    assert upstream.env == {"API_KEY": "${secret:API_KEY}", "REGION": "${REGION}"}
    python = read_server_json(
        document | {"packages": [{"registryType": "pypi", "identifier": "thing", "version": "2"}]}
    )
    assert (python.command, python.args) == ("uvx", ("thing@2",))


def test_a_server_of_the_registry_with_a_remote_needs_no_package() -> None:
    remote = {
        "type": "streamable-http",
        "url": "https://{tenant}.example/mcp",
        "headers": [{"name": "X-Key", "isRequired": True, "isSecret": True}],
    }
    upstream = read_server_json({"name": "x/y", "remotes": [remote], "packages": [PACKAGE]})
    assert (upstream.transport, upstream.url) == ("http", "https://${tenant}.example/mcp")
    assert upstream.headers == {"X-Key": "${secret:X-Key}"}


@pytest.mark.parametrize("identifier", ["x; rm -rf /", "-e", "../x", "x y", "--help", "$(id)"])
@pytest.mark.parametrize("kind", ["npm", "pypi", "oci", "mcpb"])
def test_names_of_packages_that_are_none_are_refused(kind: str, identifier: str) -> None:
    with pytest.raises(InvalidRequest, match="nothing of it can be used"):
        read_server_json({"name": "x/y", "packages": [{"registryType": kind, "identifier": identifier}]})
