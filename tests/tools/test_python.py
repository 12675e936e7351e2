"""Python tools: functions of modules that the operator allows, and no others."""

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from msgspec import structs

from tests.tools.stubs import make_context
from toolbox.audit import AuditFilter, read_audit
from toolbox.auth.callers import LOCAL
from toolbox.calls.service import CallRequest
from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidDefinition, ToolError
from toolbox.services import open_services
from toolbox.settings import Settings
from toolbox.tools.base import ToolContext
from toolbox.tools.processes import Workshop
from toolbox.tools.python import FunctionCrashed, PythonKind, PythonTool
from toolbox.tools.repository import write_tools

ALLOWED = ("math", "json", "allowed.inner", "time", "os.path", "asyncio.tasks")


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def kind(seen: list[str]) -> Iterator[PythonKind]:
    async def audit(_context: ToolContext, function: str) -> None:
        seen.append(function)

    workshop = Workshop()
    yield PythonKind(is_enabled=True, allowed=ALLOWED, audit=audit, workshop=workshop, path="/usr/bin:/bin")
    workshop.close()


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules beside and below the one that is allowed."""
    import os

    allowed, inner, below, beside = (
        ModuleType(name) for name in ("allowed", "allowed.inner", "allowed.inner.below", "allowed.innermost")
    )
    source = "def who(): return __name__\nasync def wait(seconds=0.0): return seconds\nclass Thing: pass\nvalue = 1\n"
    for module in (allowed, inner, below, beside):
        exec(source, module.__dict__)
        module.system = os.system  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)


def make(kind: PythonKind, function: str, **implementation: Any) -> PythonTool:
    return kind.create(ToolDefinition(name="t"), {"kind": "python", "function": function, **implementation})


async def run(kind: PythonKind, function: str, given: dict[str, Any] | None = None, **implementation: Any) -> Any:
    return (await make(kind, function, **implementation).call(given or {}, make_context(5))).value


async def test_a_function_is_run_with_its_arguments_and_written_down(kind: PythonKind, seen: list[str]) -> None:
    assert await run(kind, "json.dumps", {"obj": {"a": 1}, "sort_keys": True}) == '{"a": 1}'
    assert await run(kind, "allowed.inner.who") == "allowed.inner"
    assert await run(kind, "allowed.inner.below.who") == "allowed.inner.below"
    assert await run(kind, "allowed.inner.wait", {"seconds": 1.5}) == 1.5
    assert seen == ["json.dumps", "allowed.inner.who", "allowed.inner.below.who", "allowed.inner.wait"]


HOSTILE = [
    ("allowed.who", "is not allowed"),
    ("allowed.innermost.who", "is not allowed"),
    ("os.system", "is not allowed"),
    ("subprocess.run", "is not allowed"),
    ("builtins.eval", "is not allowed"),
    ("mathx.sqrt", "is not allowed"),
    ("allowed.inner.system", "comes from 'posix'"),
    ("os.path.os.system", "cannot be loaded"),
    ("json.decoder.scanner.re.compile", "cannot be loaded"),
    ("allowed.inner.Thing", "is no function"),
    ("allowed.inner.value", "is no function"),
    ("allowed.inner.nothing", "cannot be loaded"),
    ("json.__loader__", "is private"),
    ("json.__init__.dumps", "is private"),
    ("math.sqrt.__call__", "is private"),
    ("eval", "is no module.function"),
    ("", "is no module.function"),
    (".math.sqrt", "is no module.function"),
    ("math..sqrt", "is no module.function"),
    ("math.sqrt()", "is no module.function"),
    ("math.sqrt;import os", "is no module.function"),
    ("math .sqrt", "is no module.function"),
    ("../math.sqrt", "is no module.function"),
    ("math.import", "is no module.function"),
]


@pytest.mark.parametrize(("function", "complaint"), HOSTILE)
async def test_what_is_not_allowed_is_refused_when_stored_and_when_called(
    kind: PythonKind, seen: list[str], function: str, complaint: str
) -> None:
    with pytest.raises(InvalidDefinition, match="implementation/function") as refused:
        kind.check(ToolDefinition(name="t"), {"kind": "python", "function": function})
    assert complaint in refused.value.message
    with pytest.raises(ToolError):
        await run(kind, function)
    assert seen == []


async def test_the_same_is_refused_in_the_process_apart(kind: PythonKind) -> None:
    for function in ("os.system", "json.decoder.scanner.re.compile"):
        with pytest.raises(ToolError):
            await run(kind, function, isolated=True)


async def test_switched_off_nothing_runs(kind: PythonKind) -> None:
    tool = make(kind, "math.sqrt")
    kind._is_enabled = False
    with pytest.raises(ToolError, match="PYTHON_EXECUTOR_ENABLED"):
        await tool.call({"x": 4}, make_context())
    with pytest.raises(InvalidDefinition, match="PYTHON_EXECUTOR_ENABLED"):
        kind.check(ToolDefinition(name="t"), {"kind": "python", "function": "math.sqrt"})


async def test_a_function_runs_in_a_process_of_its_own(kind: PythonKind) -> None:
    assert await run(kind, "json.dumps", {"obj": {"a": [1]}}, isolated=True) == '{"a": [1]}'
    with pytest.raises(FunctionCrashed, match=r"(?s)Traceback.*JSONDecodeError"):  # a crash, as it is in this process
        await run(kind, "json.loads", {"s": "{"}, isolated=True)
    with pytest.raises(ToolError, match="memory_mb"):
        await run(kind, "json.dumps", {"obj": [1], "indent": 10**9}, isolated=True, memory_mb=64)
    tool = make(kind, "asyncio.tasks.sleep", isolated=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await tool.call({"delay": 60}, make_context())


async def test_every_execution_is_in_the_audit_log(settings: Settings) -> None:
    settings = structs.replace(settings, python_executor_allowed_modules=("math",))
    async with open_services(settings) as services:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}, "k": {"type": "integer"}}}
        definition = ToolDefinition(name="choose", input_schema=schema)
        implementation = {"kind": "python", "function": "math.factorial"}
        services.kinds.check_implementation(definition, implementation)
        async with services.database.transaction() as connection:
            await write_tools(
                connection,
                [definition],
                source="admin:t",
                source_version="",
                implementations={"choose": implementation},
            )
        request = CallRequest(tool_name="choose", arguments={"n": 5}, caller=LOCAL, channel="rest")
        done = await services.calls.call_tool(request)
        assert not done.success  # math.factorial takes no names; that it was tried counts
        (entry,) = await read_audit(services.database, AuditFilter(action="python.executed"), limit=5)
        assert (entry.caller, entry.subject) == (LOCAL.name, "choose")
        assert str(done.execution_id) in bytes(entry.after).decode()
