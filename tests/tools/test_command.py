"""Command tools: what runs, what it is given, and what neither a caller nor a command can do."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.stubs import MemorySecrets, make_context
from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidDefinition, ToolError
from toolbox.tools.command import CommandKind, CommandTool, fill_argv
from toolbox.tools.processes import Workshop
from toolbox.tools.templates import Template

SECRETS = MemorySecrets(key="s3cr3t-key")
OPEN = {"type": "object", "additionalProperties": True}
ECHO = "import json, sys; print(json.dumps(sys.argv[1:]))"


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    opened = Workshop()
    yield opened
    left = list(opened.root.iterdir())
    opened.close()
    assert left == []


@pytest.fixture
def kind(workshop: Workshop) -> CommandKind:
    path = f"{Path(sys.executable).parent}:relative:/usr/bin:/bin"
    return CommandKind(workshop, SECRETS, allowed=("sleep", "/bin/cat", "no_such_program"), path=path)


def make(kind: CommandKind, *argv: str, **implementation: Any) -> CommandTool:
    definition = ToolDefinition(name="tool", input_schema=OPEN)
    return kind.create(definition, {"kind": "command", "argv": list(argv), **implementation})


async def run(kind: CommandKind, *argv: str, given: dict[str, Any] | None = None, **implementation: Any) -> Any:
    result = await make(kind, *argv, **implementation).call(given or {}, make_context())
    return result.value if implementation.get("output") == "json" else result.content[0].text  # type: ignore[union-attr]


async def test_arguments_are_elements_whatever_is_in_them(kind: CommandKind) -> None:
    given_: dict[str, Any] = {"text": "a b; rm -rf $HOME `id` \"'\\\n*", "number": -5, "list": ["x", 1]}
    printed = await run(
        kind,
        "python",
        "-c",
        ECHO,
        "{text}",
        "--n={number}",
        "{number}",
        "{gone}",
        "{list}",
        "{{}}",
        given=given_,
        output="json",
    )
    assert printed == [given_["text"], "--n=-5", "-5", "x,1", "{}"]


@given(st.text(), st.text())
def test_an_argument_is_exactly_one_element(first: str, second: str) -> None:
    templates = [Template(text, "argv") for text in ("fixed", "{a}", "x={a}", "--", "{b}", "end")]
    try:
        filled = fill_argv(templates, {"a": first, "b": second})
    except ToolError:
        assert first.startswith("-") or "\0" in first + second or not (first + second).isascii()
        return
    assert filled == ["fixed", first, f"x={first}", "--", second, "end"]


@pytest.mark.parametrize("text", ["-rf", "--output=/etc/passwd", "-"])
async def test_an_argument_that_would_be_an_option_is_refused(kind: CommandKind, text: str) -> None:
    with pytest.raises(ToolError, match="for an option"):
        await run(kind, "python", "-c", ECHO, "{text}", given={"text": text})
    assert await run(kind, "python", "-c", ECHO, "--", "{text}", given={"text": text}, output="json") == ["--", text]


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 300_000])
async def test_an_argument_that_no_program_takes_is_refused(kind: CommandKind, text: str) -> None:
    with pytest.raises(ToolError):
        await run(kind, "python", "-c", ECHO, "{text}", given={"text": text})


async def test_the_environment_is_clean(kind: CommandKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir()]))"
    environment, folder, files = await run(
        kind,
        "python",
        "-c",
        code,
        environment={"API_KEY": "${secret:key}", "WHO": "{who}", "NOBODY": "{gone}"},
        given={"who": "me"},
        output="json",
    )
    assert set(environment) <= {
        "PATH", "LANG", "LC_CTYPE", "HOME", "TMPDIR", "PWD", "UV_CACHE_DIR", "NPM_CONFIG_CACHE", "API_KEY", "WHO",
        "TOOLBOX_CALL",
    }  # fmt: skip
    assert environment["API_KEY"] == "${secret:key}"  # it was there, and is hidden in what comes back
    assert environment["WHO"] == "me"
    assert "relative" not in environment["PATH"]
    assert environment["HOME"] == environment["TMPDIR"] == folder
    assert files == []
    assert not os.path.exists(folder)  # noqa: ASYNC240, PTH110


async def test_standard_input_is_given(kind: CommandKind) -> None:
    assert await run(kind, "/bin/cat", stdin="<{text}>", given={"text": "a\nb"}) == "<a\nb>"
    assert await run(kind, "/bin/cat") == ""
    assert await run(kind, "python", "-c", "print(1)", stdin="x" * 1_000_000) == "1\n"


async def test_output_is_read_and_selected(kind: CommandKind) -> None:
    code = "print('{{\"a\": [1, 2]}}')"
    assert await run(kind, "python", "-c", code, output="json") == {"a": [1, 2]}
    assert await run(kind, "python", "-c", code, output="json", select="/a/1") == 2
    with pytest.raises(ToolError, match="should write JSON"):
        await run(kind, "python", "-c", "print('x')", output="json")


async def test_a_command_that_fails_says_why(kind: CommandKind) -> None:
    code = "import os, sys; print('no', os.environ['K'], file=sys.stderr); sys.exit(3)"
    with pytest.raises(ToolError, match=r"python ended with status 3: no \$\{secret:key\}"):
        await run(kind, "python", "-c", code, environment={"K": "${secret:key}"})
    with pytest.raises(ToolError, match="not installed"):
        await run(kind, "no_such_program")


@pytest.mark.parametrize(
    "code", ["print('x' * 5000)", "import sys; sys.stderr.write('x' * 5000)", "while 1: print('x' * 99)"]
)
async def test_output_without_end_ends_the_command(kind: CommandKind, code: str) -> None:
    with pytest.raises(ToolError, match="more than 1,000 bytes"):
        await run(kind, "python", "-c", code, max_output_bytes=1000)


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set from outside on Linux only")
@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = bytearray(200_000_000)", "MemoryError"),
        ("f = open('f', 'wb'); [f.write(bytes(10**6)) for _ in range(300)]", "File too large|was killed"),
        ("files = [open('/dev/null') for _ in range(1000)]", "Too many open files"),
    ],
)
async def test_what_a_command_may_use_is_limited(kind: CommandKind, code: str, complaint: str) -> None:
    with pytest.raises(ToolError, match=complaint):
        await run(kind, "python", "-c", f"import time; time.sleep(0.2); {code}", memory_mb=100)


LEAVE = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(1), os.close(2)
        time.sleep(60)
    os._exit(0)
print("left", flush=True)
"""


def processes_in(folder: Path) -> list[str]:
    """Processes that work in a folder, zombies too."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(folder) in str((entry / "cwd").readlink()):
                found.append((entry / "cmdline").read_bytes().decode())
    return found


def zombies() -> int:
    count = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                count += fields[0] == "Z" and int(fields[1]) == os.getpid()
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_nothing_is_left_over(kind: CommandKind, workshop: Workshop) -> None:
    """Neither when a command ends, nor at its time limit, nor when the caller gives up."""
    code = LEAVE.replace("{", "{{").replace("}", "}}")
    assert await run(kind, "python", "-c", code) == "left\n"
    assert processes_in(workshop.root) == []
    tool = make(kind, "python", "-c", code + "time.sleep(60)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await tool.call({}, make_context())
    assert processes_in(workshop.root) == []
    calls = [asyncio.create_task(make(kind, "sleep", "60").call({}, make_context())) for _ in range(5)]
    while len(processes_in(workshop.root)) < 5:
        await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert processes_in(workshop.root) == []
    assert zombies() == 0


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"argv": []}, "implementation/argv"),
        ({"argv": ["sh", "-c", "x"]}, "implementation/argv/0: 'sh' is not allowed"),
        ({"argv": ["/usr/bin/python3"]}, "not allowed"),
        ({"argv": ["../python"]}, "not allowed"),
        ({"argv": ["python\0"]}, "not allowed"),
        ({"argv": ["{program}"]}, "not allowed"),
        ({"argv": ["cat"]}, "not allowed"),
        ({"argv": ["python", "-c", "{code}"]}, "cannot come from a caller"),
        ({"argv": ["python", "{script}"]}, "cannot come from a caller"),
        ({"argv": ["python", "-W", "ignore", "{script}"]}, "cannot come from a caller"),
        ({"argv": ["node", "-e", "{code}"]}, "cannot come from a caller"),
        ({"argv": ["node", "--require", "x", "{script}"]}, "cannot come from a caller"),
        ({"argv": ["npx", "-y", "{package}"]}, "cannot come from a caller"),
        ({"argv": ["uvx", "--from", "{package}", "x"]}, "cannot come from a caller"),
        ({"argv": ["uv", "run", "{script}"]}, "cannot come from a caller"),
        ({"argv": ["uv", "tool", "run", "{package}"]}, "cannot come from a caller"),
        ({"argv": ["python", "-c", "x", "${secret:key}"]}, "others on this machine see arguments"),
        ({"argv": ["python", "x.py", "{a"]}, "a single '{'"),
        ({"environment": {"path": "/x"}}, "is no name"),
        ({"environment": {"A-B": "/x"}}, "is no name"),
        ({"environment": {"A=B": "/x"}}, "is no name"),
        ({"environment": {"A\nB": "/x"}}, "is no name"),
        ({"environment": {"": "/x"}}, "is no name"),
        *[
            ({"environment": {name: "/x"}}, "load other code")
            for name in (
                "PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "BASH_ENV",
                "HOME", "DYLD_INSERT_LIBRARIES", "GIT_SSH_COMMAND", "PERL5OPT", "RUBYOPT", "UV_INDEX_URL",
                "NPM_CONFIG_REGISTRY",
            )
        ],
        ({"memory_mb": 0}, "implementation/memory_mb"),
        ({"max_output_bytes": 10**12}, "implementation/max_output_bytes"),
        ({"shell": True}, "there is no field `shell`"),
        ({"cwd": "/"}, "there is no field `cwd`"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused_with_its_path(
    kind: CommandKind, changed: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        kind.check(
            ToolDefinition(name="t", input_schema=OPEN), {"kind": "command", "argv": ["python", "x.py"], **changed}
        )
    assert complaint in refused.value.message


async def test_a_program_that_is_allowed_no_longer_does_not_run(kind: CommandKind) -> None:
    tool = make(kind, "sleep", "0")
    kind._allowed = frozenset({"python"})  # type: ignore[assignment]
    with pytest.raises(ToolError, match="'sleep' is not allowed"):
        await tool.call({}, make_context())
