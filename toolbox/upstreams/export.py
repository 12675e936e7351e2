"""ToolBox in the files of MCP hosts: one entry is written, all else in the file stays, comments too."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from toolbox.errors import InvalidRequest
from toolbox.upstreams import jsonc

TargetName = Literal["claude-desktop", "claude-code", "cursor", "vscode"]


class Target(Struct, frozen=True):
    """A host: where its file is, under which member it has its servers, and how it writes a server with a URL."""

    file: Callable[[], Path]
    section: str
    write: Callable[[str, str | None], dict[str, Any]]


def write_entry(target: TargetName, *, url: str, name: str, file: Path | None, key_variable: str | None) -> Path:
    """Put ToolBox into a host's file, which is made if it is not there; gives back which file it was.

    Raises:
        InvalidRequest: The file cannot be read or written.
    """
    host = TARGETS[target]
    path = file or host.file()
    text = _read(path)
    _replace(path, jsonc.put_member(text, (host.section, name), host.write(url, key_variable)))
    return path


def remove_entry(target: TargetName, *, name: str, file: Path | None) -> tuple[Path, bool]:
    """Take ToolBox out of a host's file; gives back which file, and whether it was in there."""
    host = TARGETS[target]
    path = file or host.file()
    text = _read(path)
    changed = jsonc.remove_member(text, (host.section, name))
    if changed != text:
        _replace(path, changed)
    return path, changed != text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from error


def _replace(path: Path, text: str) -> None:
    """Whoever reads the file finds the old one or the new one, never half of it; a link stays a link."""
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror or error}") from error


def _claude_desktop_file() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/Claude/claude_desktop_config.json"
    if sys.platform == "win32":
        return Path.home() / "AppData/Roaming/Claude/claude_desktop_config.json"
    return Path.home() / ".config/Claude/claude_desktop_config.json"


def _through_command(url: str, key_variable: str | None) -> dict[str, Any]:
    """Claude Desktop's file knows only commands: mcp-remote speaks to a URL for it."""
    header = ["--header", f"Authorization:Bearer ${{{key_variable}}}"] if key_variable else []
    entry: dict[str, Any] = {"command": "npx", "args": ["-y", "mcp-remote", url, *header]}
    return entry | ({"env": {key_variable: ""}} if key_variable else {})


def _http(variable: str, *, typed: bool) -> Callable[[str, str | None], dict[str, Any]]:
    def write(url: str, key_variable: str | None) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "http", "url": url} if typed else {"url": url}
        if key_variable:
            entry["headers"] = {"Authorization": f"Bearer {variable.replace('NAME', key_variable)}"}
        return entry

    return write


TARGETS: Mapping[TargetName, Target] = {
    "claude-desktop": Target(_claude_desktop_file, "mcpServers", _through_command),
    "claude-code": Target(lambda: Path(".mcp.json"), "mcpServers", _http("${NAME}", typed=True)),
    "cursor": Target(lambda: Path.home() / ".cursor/mcp.json", "mcpServers", _http("${env:NAME}", typed=False)),
    "vscode": Target(lambda: Path(".vscode/mcp.json"), "servers", _http("${env:NAME}", typed=True)),
}
