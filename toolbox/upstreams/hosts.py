"""Files of MCP hosts: the servers that they name become upstreams.

Hosts spell the same things differently. Read are `mcpServers` (Claude Desktop, Claude Code, Cursor, Windsurf, Cline,
Gemini), `servers` (VS Code, also below `mcp` in its settings), `context_servers` (Zed) and `mcp` (opencode), and a bare
object of servers. An entry may have any field of an upstream beside what hosts have.

Where a file lies on this machine, and its operator has it read, `envFile` and `${workspaceFolder}` mean what they mean
to the host. What comes over the network names no file here.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from toolbox.definitions import Upstream, guess_transport
from toolbox.errors import InvalidRequest, SettingsError
from toolbox.settings import Secret
from toolbox.upstreams import jsonc
from toolbox.upstreams.env_files import read_env_file

SECTIONS = ("mcpServers", "servers", "context_servers", "mcp")
TRANSPORTS: Mapping[str, str] = {
    "stdio": "stdio",
    "local": "stdio",
    "command": "stdio",
    "http": "http",
    "https": "http",
    "remote": "http",
    "streamable": "http",
    "streamablehttp": "http",
    "httpstream": "http",
    "httpstreaming": "http",
    "sse": "sse",
    "httpsse": "sse",
}
"""What hosts call the transports, without case, `-`, `_`, `+` and spaces."""

WORKSPACE_FOLDERS = frozenset({".vscode", ".cursor"})
"""Folders of hosts in the folder that an editor has open, which `${workspaceFolder}` stands for in their files."""

_FIELDS = frozenset(Upstream.__struct_fields__) - {"name", "transport"}
_LIKELY = frozenset({"command", "url", "serverUrl", "httpUrl", "type", "transport"})


class FoundServers(Struct, frozen=True):
    """The servers of a file, and what cannot be used, by its name in the file."""

    upstreams: list[Upstream]
    rejected: dict[str, str]


def read_file(text: str, path: Path | None = None) -> FoundServers:
    """The servers of a file, which may hold comments; `path` is where it lies on this machine.

    Raises:
        InvalidRequest: It is no JSON object with servers.
    """
    return read_servers(jsonc.read(text), path)


def read_mcp_servers(setting: Secret | None) -> FoundServers:
    """The servers that MCP_SERVERS names: a file, or its content.

    Raises:
        SettingsError: It cannot be read.
    """
    if setting is None:
        return FoundServers([], {})
    text = setting.reveal()
    path = None if text.lstrip().startswith(("{", "/*", "//")) else Path(text).expanduser()
    try:
        return read_file(text if path is None else path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError, InvalidRequest) as error:
        where = f"MCP_SERVERS={str(path)!r}" if path else "MCP_SERVERS"
        why = error.message if isinstance(error, InvalidRequest) else getattr(error, "strerror", None) or error
        raise SettingsError(f"{where} cannot be used: {why}") from error


def read_servers(document: Any, path: Path | None = None) -> FoundServers:
    """The servers of a document that is read already, from `path` if it is a file of this machine's operator.

    Raises:
        InvalidRequest: It holds no servers.
    """
    entries = _find_entries(document)
    upstreams, rejected, names = list[Upstream](), dict[str, str](), set[str]()
    for original, entry in entries.items():
        try:
            upstream = _read_entry(str(original), entry, path and path.absolute())
        except (InvalidRequest, msgspec.ValidationError) as error:
            rejected[str(original)[:200]] = str(error)
            continue
        if upstream.name in names:
            rejected[str(original)[:200]] = f"another one is called {upstream.name!r} too"
            continue
        names.add(upstream.name)
        upstreams.append(upstream)
    return FoundServers(upstreams, rejected)


def to_name(original: str) -> str:
    """The name of an upstream for what a host calls its server."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", original).strip("-_") or "server"
    if len(safe) <= 40:
        return safe
    return f"{safe[:31]}-{hashlib.blake2b(original.encode(), digest_size=4).hexdigest()}"


def _find_entries(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise InvalidRequest("a JSON object is expected, with the servers under mcpServers")
    for section in SECTIONS:
        found = document.get(section)
        if isinstance(found, dict):
            inner = found.get("servers")
            if section == "mcp" and isinstance(inner, dict):
                return inner
            return found
    if document and all(isinstance(entry, dict) and entry.keys() & _LIKELY for entry in document.values()):
        return document
    raise InvalidRequest("there are no servers in it: mcpServers (or servers, as VS Code has it) is expected")


def _read_entry(original: str, entry: Any, path: Path | None) -> Upstream:
    if not isinstance(entry, dict):
        raise InvalidRequest("an object is expected")
    fields = {name: value for name, value in entry.items() if name in _FIELDS and name not in {"enabled", "trust"}}
    _read_command(entry, fields)
    url = entry.get("url") or entry.get("serverUrl") or entry.get("httpUrl")
    if url is not None:
        fields["url"] = url
    fields["transport"] = _read_transport(entry, fields)
    fields["enabled"] = entry.get("enabled", True) is not False and entry.get("disabled") is not True
    _read_details(entry, fields)
    name = to_name(original)
    if name != original:
        fields.setdefault("title", original[:200])
    workspace = path.parents[1] if path and path.parent.name in WORKSPACE_FOLDERS else None
    fields = _map_texts(fields, lambda text: _translate(text, workspace))
    if entry.get("envFile"):
        fields["env"] = _read_env_file(entry["envFile"], fields, path, workspace) | fields.get("env", {})
    return msgspec.convert({"name": name} | fields, Upstream, strict=False)


def _read_env_file(
    given: Any, fields: Mapping[str, Any], path: Path | None, workspace: Path | None
) -> Mapping[str, str]:
    """The variables that an entry names a file for; those under `env` come before them."""
    if path is None:
        raise InvalidRequest(
            "envFile is read only of files on ToolBox's own machine, by `toolbox import --mcp` and MCP_SERVERS: "
            "give its variables under env"
        )
    if not isinstance(given, str) or fields["transport"] != "stdio":
        raise InvalidRequest("envFile is the path of a file, and for a command, not for a url")
    translated = _translate(given, workspace).replace("${HOME}", "~")
    if "${" in translated:
        raise InvalidRequest(f"envFile: {translated[:200]!r} names a variable: write the path itself")
    return read_env_file((workspace or path.parent) / Path(translated).expanduser())


def _read_command(entry: Mapping[str, Any], fields: dict[str, Any]) -> None:
    command = entry.get("command")
    if isinstance(command, dict):  # Zed: {"path", "args", "env"}
        fields |= {"command": command.get("path"), "args": command.get("args", ()), "env": command.get("env") or {}}
    elif isinstance(command, list):  # opencode: all of it in one list
        fields["command"], fields["args"] = (command[0] if command else None), command[1:]
    if isinstance(entry.get("environment"), dict):
        fields["env"] = entry["environment"]
    if fields.get("env") is not None:
        fields["env"] = {name: _as_text(value) for name, value in fields["env"].items() if value is not None}
    if fields.get("args") is not None:
        fields["args"] = [_as_text(part) for part in fields["args"]]
    for name in ("env", "headers", "args"):
        if fields.get(name) is None:
            fields.pop(name, None)


def _read_transport(entry: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    said = next((entry[key] for key in ("type", "transport", "transportType") if isinstance(entry.get(key), str)), None)
    if said is not None:
        known = TRANSPORTS.get(re.sub(r"[-_+\s]", "", said).lower())
        if known is None:
            raise InvalidRequest(f"the transport {said[:50]!r} is none of stdio, http (streamable-http), sse")
        return known
    if fields.get("url") is None:
        return "stdio"
    if entry.get("httpUrl"):
        return "http"
    return guess_transport(str(fields["url"]))


def _read_details(entry: Mapping[str, Any], fields: dict[str, Any]) -> None:
    for theirs, ours in (("includeTools", "include"), ("excludeTools", "exclude"), ("disabledTools", "exclude")):
        if isinstance(entry.get(theirs), list):
            fields[ours] = [*fields.get(ours, ()), *entry[theirs]]
    if isinstance(entry.get("trust"), str):
        fields["trust"] = entry["trust"]
    timeout = entry.get("timeout")
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > 0:
        # Some hosts mean seconds, others milliseconds; no call is given up after a few of the latter.
        fields.setdefault("call_seconds", min(timeout / 1000 if timeout >= 1000 else timeout, 3600))
    auth = entry.get("auth")
    if isinstance(auth, dict) and "CLIENT_ID" in auth:  # Cursor
        scopes = auth.get("scopes")
        fields["auth"] = {
            "client_id": auth["CLIENT_ID"],
            "client_secret": auth.get("CLIENT_SECRET", ""),
            "scope": " ".join(scopes) if isinstance(scopes, list) else scopes,
        }


def _translate(text: str, workspace: Path | None) -> str:
    """What hosts write for variables, as ToolBox does; `${input:x}`, which VS Code asks for, is a secret here."""
    if workspace is not None:
        text = text.replace("${workspaceFolder}", str(workspace))
    text = re.sub(r"\$\{input:([A-Za-z0-9_.-]+)\}", r"${secret:\1}", text).replace("${userHome}", "${HOME}")
    if match := re.search(r"\$\{(workspaceFolder\w*|workspaceRoot|file\w*|config:[^}]*|command:[^}]*)\}", text):
        raise InvalidRequest(f"{match[0]} means something to an editor only: write the folder itself")
    return text


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _map_texts(member, change) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_map_texts(member, change) for member in value]
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
