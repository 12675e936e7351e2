"""Tools that are commands of this machine: a list of arguments for an allowed program, and never a shell.

What a caller gives is one element of the list, or part of one, or standard input; it never becomes an option, a second
element, or code.
"""

import math
import re
import shutil
import sys
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from toolbox.definitions import TextContent, ToolDefinition, ToolResult
from toolbox.errors import InvalidDefinition, SecretUnavailable, ToolError
from toolbox.expressions import Selection
from toolbox.secrets.store import SecretStore
from toolbox.tools.base import ToolContext
from toolbox.tools.kinds import Implementation, read_implementation
from toolbox.tools.processes import Finished, Limits, Workshop, run_process
from toolbox.tools.templates import Argument, Template, check_arguments

LAUNCHERS: Final = frozenset({"python", "node", "npx", "uvx", "uv"})
"""Allowed everywhere. They run code, so what they run is never a caller's."""
MAX_ERROR_CHARACTERS: Final = 2_000

_VERBS = frozenset({"run", "tool"})
_WITH_VALUES = frozenset(
    {
        "-C", "-W", "-X", "-p", "-r", "-w", "--conditions", "--directory", "--env-file", "--from", "--import",
        "--index", "--loader", "--package", "--project", "--python", "--require", "--with", "--workspace",
    }
)  # fmt: skip
"""Options of launchers behind which a word is not yet what they run."""
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_REFUSED = frozenset({"PATH", "HOME", "TMPDIR", "PWD", "IFS", "ENV", "SHELLOPTS", "CDPATH", "GLOBIGNORE"})
_REFUSED_BEGINNINGS = (
    "LD_", "DYLD_", "PYTHON", "NODE_", "NPM_CONFIG_", "UV_", "BASH_", "GIT_", "PERL", "RUBY", "JAVA_TOOL", "TOOLBOX_",
)  # fmt: skip
"""What makes programs load other code than their own."""


class CommandImplementation(Implementation, frozen=True, tag_field="kind", tag="command"):
    """A command. Texts are templates: `{argument}`, `${secret:name}`; `{{` and `}}` are braces."""

    argv: Annotated[tuple[str, ...], Meta(min_length=1, max_length=200)]
    """The program, by a name that is allowed, and its arguments; those of which a part is missing are left out."""
    stdin: str | None = None
    environment: Mapping[str, str] = {}
    output: Literal["text", "json"] = "text"
    select: str | None = None
    """A part of JSON output: a JSON Pointer if it begins with `/`, else JMESPath."""
    max_output_bytes: Annotated[int, Meta(ge=1, le=32 * 1024 * 1024)] = 1024 * 1024
    memory_mb: Annotated[int, Meta(ge=16, le=65536)] = 1024


class CommandKind:
    """The kind "command"."""

    def __init__(self, workshop: Workshop, secrets: SecretStore, *, allowed: Collection[str], path: str) -> None:
        """`allowed` programs come beside the launchers, as names or as whole paths; they are looked for on `path`."""
        self._workshop = workshop
        self._secrets = secrets
        self._allowed = LAUNCHERS | set(allowed)
        self._path = ":".join(folder for folder in path.split(":") if folder.startswith("/"))

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """See Kind."""
        self.create(definition, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> "CommandTool":
        """See Kind."""
        read = read_implementation(CommandImplementation, implementation)
        self._check_program(read.argv[0])
        return CommandTool(definition, read, self)

    def _check_program(self, program: str) -> None:
        if program not in self._allowed:
            raise InvalidDefinition(
                f"implementation/argv/0: {program[:100]!r} is not allowed here; allowed are "
                f"{', '.join(sorted(self._allowed))}, and whatever the operator adds to ALLOW_CUSTOM_COMMANDS"
            )

    def find_program(self, program: str) -> str:
        """Where it is.

        Raises:
            ToolError: It is not installed, or no longer allowed.
        """
        try:
            self._check_program(program)
        except InvalidDefinition as error:
            raise ToolError(error.message) from error
        names = ("python", "python3") if program == "python" else (program,)
        found = next((place for name in names if (place := shutil.which(name, path=self._path))), None)
        if found is None and program == "python":
            found = sys.executable
        if found is None or not Path(found).is_absolute():
            raise ToolError(f"{program} is not installed on this server")
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What every command finds."""
        cache = self._workshop.root / "cache"
        return {
            "PATH": self._path,
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": str(cache / "uv"),
            "NPM_CONFIG_CACHE": str(cache / "npm"),
        }

    @property
    def workshop(self) -> Workshop:
        """Where they run."""
        return self._workshop

    @property
    def secrets(self) -> SecretStore:
        """Where their secrets are."""
        return self._secrets


class CommandTool:
    """A tool that runs one command."""

    def __init__(self, definition: ToolDefinition, implementation: CommandImplementation, kind: CommandKind) -> None:
        """Read everything that is the same for all calls.

        Raises:
            InvalidDefinition: The implementation cannot be used.
        """
        self.definition = definition
        self.concurrency = implementation.concurrency
        self._implementation = implementation
        self._kind = kind
        program, *arguments = implementation.argv
        self._program = program
        self._argv = [Template(text, f"implementation/argv/{index}") for index, text in enumerate(arguments, 1)]
        self._stdin = None if implementation.stdin is None else Template(implementation.stdin, "implementation/stdin")
        self._environment = {
            _check_variable(name): Template(value, f"implementation/environment/{name}")
            for name, value in implementation.environment.items()
        }
        select = implementation.select
        self._selection = None if select is None else Selection(select, "implementation/select")
        templates = [*self._argv, *self._environment.values(), *([self._stdin] if self._stdin else [])]
        check_arguments(definition, (name for template in templates for name in template.arguments))
        if any(template.secrets for template in self._argv):
            raise InvalidDefinition(
                "implementation/argv: others on this machine see arguments: give secrets in the environment or on stdin"
            )
        if program in LAUNCHERS:
            _refuse_code(program, self._argv)
        self._secrets = tuple(dict.fromkeys(name for template in templates for name in template.secrets))

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the command once."""
        given = self._implementation
        try:
            secrets = {name: await self._kind.secrets.get(name, context.toolset) for name in self._secrets}
        except SecretUnavailable as error:
            raise ToolError(error.message) from error
        argv = [self._kind.find_program(self._program), *fill_argv(self._argv, arguments)]
        environment = {
            name: _refuse_nul(name, template.fill(arguments, secrets))
            for name, template in self._environment.items()
            if template.is_given(arguments)
        }
        stdin = self._stdin.fill(arguments, secrets) if self._stdin and self._stdin.is_given(arguments) else ""
        finished = await run_process(
            argv,
            workshop=self._kind.workshop,
            environment=self._kind.environment | environment,
            limits=Limits(
                cpu_seconds=math.ceil(context.timeout_seconds) + 1,
                memory_bytes=given.memory_mb * 1024 * 1024,
                output_bytes=given.max_output_bytes,
            ),
            stdin=stdin.encode("utf-8", "replace"),
        )
        return await self._to_result(finished, context)

    async def _to_result(self, finished: Finished, context: ToolContext) -> ToolResult:
        hide = partial(self._kind.secrets.hide, names=self._secrets, toolset=context.toolset)
        if finished.status:
            errors = finished.errors.decode("utf-8", "replace").strip()[-MAX_ERROR_CHARACTERS:]
            how = f"ended with status {finished.status}" if finished.status > 0 else f"was killed ({-finished.status})"
            raise ToolError(await hide(f"{self._program} {how}{f': {errors}' if errors else ''}"))
        output = await hide(finished.output.decode("utf-8", "replace"))
        if self._implementation.output == "text" and self._selection is None:
            return ToolResult((TextContent(output),))
        try:
            value = msgspec.json.decode(output)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ToolError(f"{self._program} should write JSON, and does not: {error!s:.200}") from error
        return ToolResult.of(self._selection.select(value) if self._selection else value)


def fill_argv(templates: list[Template], arguments: Mapping[str, Any]) -> list[str]:
    """The elements of a call: each template is one, or none if an argument of it is missing.

    Raises:
        ToolError: An argument would be an option, or cannot be an argument of any program.
    """
    filled, are_options_over = list[str](), False
    for template in templates:
        if not template.is_given(arguments):
            continue
        text = _refuse_nul(template.arguments[0] if template.arguments else "argv", template.fill(arguments, {}))
        if template.arguments and not are_options_over and text.startswith("-"):
            _refuse_option(template, arguments)
        are_options_over = are_options_over or template.parts == ("--",)
        filled.append(text)
    return filled


def _refuse_option(template: Template, arguments: Mapping[str, Any]) -> None:
    first = template.parts[0]
    if isinstance(first, Argument) and not isinstance(arguments.get(first.name), int | float):
        raise ToolError(f"{first.name}: it begins with `-`, and the program would take it for an option")


def _refuse_nul(name: str, text: str) -> str:
    if "\0" in text:
        raise ToolError(f"{name}: it holds the character NUL (U+0000), which no program can be given")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"{name}: it is no text: {error.reason}") from error
    return text


def _check_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise InvalidDefinition(
            f"implementation/environment: {name[:100]!r} is no name; it has capitals, digits and `_`, as API_KEY"
        )
    if name in _REFUSED or name.startswith(_REFUSED_BEGINNINGS):
        raise InvalidDefinition(f"implementation/environment/{name}: it could make the program load other code")
    return name


def _refuse_code(program: str, argv: list[Template]) -> None:
    """Refuse callers' words where a launcher looks for what to run: before a word that is the definition's own."""
    is_value = False
    for template in argv:
        if template.arguments:
            raise InvalidDefinition(
                f"{template.where}: what the program runs cannot come from a caller; name a script, a module or a "
                "package before it, or give it on stdin to a script of yours"
            )
        text = str(template.parts[0]) if template.parts else ""
        if not (text.startswith("-") or is_value or (program == "uv" and text in _VERBS)):
            return
        is_value = text in _WITH_VALUES and not is_value
