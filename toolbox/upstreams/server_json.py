"""A server.json of the official MCP registry as an upstream: its remote, or its package by an argument list.

Pure module: no I/O. Nothing of it goes through a shell, and whoever imports it says that it may run.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest
from toolbox.upstreams.hosts import TRANSPORTS, to_name
from toolbox.upstreams.sources import NPM_NAME, PYPI_NAME, VERSION

_OCI = re.compile(r"[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?(@sha256:[0-9a-f]{64})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_server_json(document: Any) -> bool:
    """Whether it describes one server as the registry does."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("name"), str)
        and (isinstance(document.get("packages"), list) or isinstance(document.get("remotes"), list))
    )


def read_server_json(document: Mapping[str, Any]) -> Upstream:
    """The upstream that it describes: the first remote if it has one, else the first package that can be run.

    Raises:
        InvalidRequest: Nothing of it can be used.
    """
    name = to_name(str(document["name"]).rpartition("/")[2])
    common = {
        "name": name,
        "title": document.get("title") or document["name"],
        "description": document.get("description"),
    }
    reasons = list[str]()
    for read, entries in ((_read_remote, document.get("remotes")), (_read_package, document.get("packages"))):
        for entry in entries if isinstance(entries, list) else ():
            try:
                return msgspec.convert(common | read(entry), Upstream)
            except (InvalidRequest, msgspec.ValidationError, AttributeError, KeyError, TypeError) as error:
                reasons.append(str(error))
    raise InvalidRequest(f"nothing of it can be used: {'; '.join(reasons) or 'it has neither remotes nor packages'}")


def _read_remote(remote: Mapping[str, Any]) -> dict[str, Any]:
    transport = TRANSPORTS.get(re.sub(r"[-_]", "", str(remote.get("type"))).lower())
    if transport not in {"http", "sse"}:
        raise InvalidRequest(f"the transport {remote.get('type')!r} is unknown")
    url = re.sub(r"\{([A-Za-z0-9_]+)\}", r"${\1}", str(remote["url"]))
    headers = {str(each["name"]): _read_value(each) for each in remote.get("headers") or () if _is_given(each)}
    return {"transport": transport, "url": url, "headers": headers}


def _read_package(package: Mapping[str, Any]) -> dict[str, Any]:
    kind, identifier = str(package.get("registryType")), str(package.get("identifier"))
    version = package.get("version")
    transport = package.get("transport") or {"type": "stdio"}
    if transport.get("type") != "stdio":
        raise InvalidRequest(
            f"a package that serves {transport.get('type')!r} is not run here: start it, and give its url"
        )
    if version is not None and not VERSION.fullmatch(str(version)):
        raise InvalidRequest(f"{str(version)[:50]!r} is no version")
    variables = {
        str(each["name"]): _read_value(each) for each in package.get("environmentVariables") or () if _is_given(each)
    }
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise InvalidRequest(f"{name[:50]!r} is no name of an environment variable")
    before = _read_arguments(package.get("runtimeArguments"))
    after = _read_arguments(package.get("packageArguments"))
    command, args = _read_command(kind, identifier, version, list(variables), before)
    return {"transport": "stdio", "command": command, "args": [*args, *after], "env": variables}


def _read_command(
    kind: str, identifier: str, version: Any, variables: list[str], before: list[str]
) -> tuple[str, list[str]]:
    if kind == "npm" and NPM_NAME.fullmatch(identifier):
        return "npx", [*(before or ["-y"]), f"{identifier}@{version}" if version else identifier]
    if kind == "pypi" and PYPI_NAME.fullmatch(identifier):
        return "uvx", [*before, f"{identifier}@{version}" if version else identifier]
    if kind == "oci" and _OCI.fullmatch(identifier):
        passed = [part for name in variables for part in ("-e", name)]
        return "docker", ["run", "-i", "--rm", *passed, *before, identifier]
    raise InvalidRequest(f"the package {identifier[:100]!r} of the kind {kind[:20]!r} cannot be run here")


def _read_arguments(arguments: Any) -> list[str]:
    found = list[str]()
    for each in arguments or ():
        if not _is_given(each):
            continue
        if each.get("type") == "named":
            found.append(str(each["name"]))
            if each.get("value") is None and each.get("default") is None and not each.get("isRequired"):
                continue
        found.append(_read_value(each))
    return found


def _is_given(entry: Mapping[str, Any]) -> bool:
    """Whether it has a value, or must have one; what is left open is left out."""
    return entry.get("value") is not None or entry.get("default") is not None or entry.get("isRequired") is True


def _read_value(entry: Mapping[str, Any]) -> str:
    """Its value; one that the user has to give is a secret or a variable of ToolBox's environment."""
    value = entry.get("value") if entry.get("value") is not None else entry.get("default")
    if value is not None:
        return re.sub(r"\{([A-Za-z0-9_]+)\}", r"${\1}", str(value))
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", str(entry.get("name") or entry.get("valueHint") or "value"))
    return f"${{secret:{name}}}" if entry.get("isSecret") else f"${{{name}}}"
