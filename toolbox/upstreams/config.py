"""What a configuration may say, and how `${...}` in it is filled in when a server is connected to."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import PurePath

from toolbox.definitions import Upstream
from toolbox.errors import InvalidRequest, SecretUnavailable, UpstreamFailed
from toolbox.upstreams.sources import GitSource, read_source

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "csh", "tcsh", "cmd", "powershell", "pwsh"})
"""Never run, unless the operator names them: what is in their arguments is a program of its own."""
REFUSED_VARIABLES = frozenset(
    {
        "BASH_ENV", "CLASSPATH", "ENV", "GCONV_PATH", "GIT_SSH", "GIT_SSH_COMMAND", "HOSTALIASES", "IFS",
        "JAVA_TOOL_OPTIONS", "NODE_OPTIONS", "NODE_PATH", "PATH", "PERL5LIB", "PERL5OPT", "PERLLIB", "PROMPT_COMMAND",
        "PS4", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "RUBYLIB", "RUBYOPT", "SHELLOPTS", "BASHOPTS",
    }
)  # fmt: skip
REFUSED_PREFIXES = ("LD_", "DYLD_", "BASH_FUNC_", "MALLOC_", "GLIBC_")
"""Variables that make a program load or run something else than what the configuration names."""

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"\$\{(?:(?P<kind>secret|env):)?(?P<name>[A-Za-z0-9_.-]+)(?::-(?P<default>[^}]*))?\}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "mcp-session-id", "accept-encoding"}
)

OPERATOR_ORIGINS = ("settings", "plugin:", "import")
"""Configurations that the operator of the machine has given: they may read its environment."""
TRUSTED_ORIGINS = ("settings", "plugin:")
"""Those that may run any program: who writes them decides what may run."""

INSTALLERS = {"git": frozenset({"git"}), "pypi": frozenset({"uv", "uvx"}), "npm": frozenset({"npm", "npx"})}
"""Who may run one of these programs for an upstream may have that kind of source installed."""
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

ReadSecret = Callable[[str], Awaitable[str]]


def check_upstream(upstream: Upstream, *, commands: Collection[str], origin: str) -> None:
    """Refuse a configuration that cannot be used, or may not.

    Raises:
        InvalidRequest: Says which part, and what is allowed.
    """
    where = f"upstream {upstream.name!r}"
    if upstream.transport == "stdio":
        if upstream.url or upstream.headers or upstream.auth:
            raise InvalidRequest(f"{where}: url, headers and auth are for http and sse, not for a command")
        if upstream.source_key is not None and not (upstream.source or "").startswith("git+"):
            raise InvalidRequest(f"{where}: source_key is for a source that is a repository of git")
        if upstream.source is not None:
            _check_source(where, upstream.source, upstream.command, commands, origin)
        elif not upstream.command or not upstream.command.strip():
            raise InvalidRequest(f"{where}: a command or a url is needed")
        else:
            _check_command(where, upstream.command, commands, origin)
    else:
        if not re.match(r"(https?://[^/\s]+|\$\{)", upstream.url or ""):
            raise InvalidRequest(f"{where}: the url must begin with http:// or https://")
        if upstream.command or upstream.source or upstream.source_key or upstream.args or upstream.env or upstream.cwd:
            raise InvalidRequest(f"{where}: command, source, args, env and cwd are for stdio, not for a url")
    for name in upstream.env:
        check_variable(where, name)
    for name, value in upstream.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise InvalidRequest(f"{where}: the header {name[:100]!r} cannot be set")
        if any(character in value for character in "\r\n\0"):
            raise InvalidRequest(f"{where}: the value of the header {name!r} holds a line break")
    if any("\0" in text for text in _texts(upstream)):
        raise InvalidRequest(f"{where}: a text holds the character U+0000")
    if not origin.startswith(OPERATOR_ORIGINS):
        _refuse_environment(where, upstream)


def program_name(command: str) -> str:
    """What a program is called without its folder: `npx` of `/usr/bin/npx` and of `npx.cmd`."""
    name = PurePath(command.replace("\\", "/")).name.lower()
    return re.sub(r"\.(exe|cmd|bat)$", "", name)


def _check_command(where: str, command: str, commands: Collection[str], origin: str) -> None:
    if command in commands or origin.startswith(TRUSTED_ORIGINS):
        return
    name = program_name(command)
    if name in SHELLS:
        raise InvalidRequest(
            f"{where}: {name} is a shell, which is not run: give the program and its arguments instead"
        )
    # A name alone is looked up in PATH; a path is what the operator has to name as a whole.
    if "/" in command or "\\" in command or (name not in commands and command not in commands):
        raise InvalidRequest(
            f"{where}: {command[:200]!r} is none of the programs that upstreams may run "
            f"({', '.join(sorted(commands)) or 'none'}); UPSTREAM_COMMANDS names them"
        )


def _check_source(where: str, text: str, command: str | None, commands: Collection[str], origin: str) -> None:
    try:
        source = read_source(text)
    except InvalidRequest as error:
        raise InvalidRequest(f"{where}: {error.message}") from error
    if command is not None and not _PROGRAM.fullmatch(command):
        raise InvalidRequest(f"{where}: with a source, command is the name of a program, not {command[:100]!r}")
    if origin.startswith(OPERATOR_ORIGINS):
        return
    if isinstance(source, GitSource) and source.is_local:
        raise InvalidRequest(f"{where}: a repository is fetched by https or ssh")
    if not INSTALLERS[source.kind] & set(commands):
        raise InvalidRequest(
            f"{where}: nothing is installed from {source.kind}, unless UPSTREAM_COMMANDS names "
            f"{' or '.join(sorted(INSTALLERS[source.kind]))}"
        )


def check_variable(where: str, name: str) -> None:
    """Refuse what no server's environment may have; `where` it stands begins the complaint.

    Raises:
        InvalidRequest: It is no name, or decides what a program loads and runs.
    """
    if not VARIABLE_NAME.fullmatch(name):
        raise InvalidRequest(f"{where}: {name[:100]!r} is no name of an environment variable")
    if name.upper() in REFUSED_VARIABLES or name.upper().startswith(REFUSED_PREFIXES):
        raise InvalidRequest(f"{where}: env may not set {name}: it decides what a program loads and runs")


def _refuse_environment(where: str, upstream: Upstream) -> None:
    for text in _texts(upstream):
        for match in REFERENCE.finditer(text):
            if match["kind"] != "secret":
                raise InvalidRequest(
                    f"{where}: {match[0]} would read ToolBox's environment, which only configurations of the machine's "
                    "operator may (MCP_SERVERS, `toolbox import --mcp`); store a secret and write ${secret:name}"
                )


def _texts(upstream: Upstream) -> list[str]:
    auth = upstream.auth
    return [
        upstream.command or "",
        *upstream.args,
        upstream.cwd or "",
        upstream.url or "",
        upstream.source_key or "",
        *upstream.env.values(),
        *upstream.headers.values(),
        *([auth.client_id, auth.client_secret, auth.scope or ""] if auth else []),
    ]


class Resolver:
    """Fills in `${secret:name}`, `${NAME}`, `${env:NAME}` and `${NAME:-default}`; nothing of it is kept."""

    def __init__(self, environ: Mapping[str, str], read_secret: ReadSecret | None = None) -> None:
        self._environ = environ
        self._read_secret = read_secret

    async def __call__(self, text: str) -> str:
        """The text with everything filled in.

        Raises:
            UpstreamFailed: What it names is not there.
        """
        parts, end = list[str](), 0
        for match in REFERENCE.finditer(text):
            parts += [text[end : match.start()], await self._look_up(match)]
            end = match.end()
        return "".join([*parts, text[end:]]) if parts else text

    async def _look_up(self, match: re.Match[str]) -> str:
        name = match["name"]
        if match["kind"] == "secret":
            try:
                return await self._read_secret(name) if self._read_secret else ""
            except SecretUnavailable as error:
                raise UpstreamFailed(f"its configuration names a secret: {error.message}", is_lasting=True) from error
        value = self._environ.get(name) or match["default"]
        if value is None:
            raise UpstreamFailed(
                f"its configuration names {match[0]}, but the environment has no variable {name!r}", is_lasting=True
            )
        return value
