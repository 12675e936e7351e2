"""Tasks over MCP with two replicas on one database: the first only answers clients, the second works the queue."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from tests.mcp.conftest import META, Client, sent_by
from toolbox import Elicitation, MissingCapability, ToolContext, ToolError, tool
from toolbox.auth.callers import LOCAL
from toolbox.mcp.conversations import Conversations
from toolbox.mcp.methods import McpServer
from toolbox.mcp.routes import create_mcp_router
from toolbox.plugins import Plugins
from toolbox.seals import Sealer
from toolbox.services import Services, open_services, working
from toolbox.settings import Settings

EXTENSION = "io.modelcontextprotocol/tasks"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
DECLARED = META | {CAPABILITIES: {"elicitation": {}, "extensions": {EXTENSION: {}}}}
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
STRANGE_IDS = ["unknown", "", "x" * 32, "=?base64?AA==?=", "a\0b", "é" * 32]


class Hanging:
    """What tests see of `hang`."""

    began = asyncio.Event()
    stopped = asyncio.Event()


@tool(task="optional")
async def double(n: int) -> dict[str, int]:
    """Double a number."""
    return {"twice": 2 * n}


@tool(task="required")
async def slow() -> str:
    """Do what is never done at once."""
    return "done"


@tool(task="optional")
async def refuse() -> str:
    """Fail in its own words."""
    raise ToolError("it is closed on Sundays")


@tool(task="optional")
async def sample(context: ToolContext) -> str:
    """Ask for what the client has not declared."""
    return (await context.sample("guess", "What is it?", max_tokens=5)).text


@tool(task="optional")
async def hang(context: ToolContext) -> str:
    """Say how far it is, and never end."""
    await context.report_progress(1, 3, "one third")
    Hanging.began.set()
    try:
        await asyncio.Event().wait()
    finally:
        Hanging.stopped.set()
    return "never"


@tool(task="optional")
async def introduce(context: ToolContext) -> str:
    """Ask two things at once, and a third one then."""
    question = Elicitation(message="Name?", requested_schema=NAME)
    names = await context.ask({"first": question, "second": question})
    third = await context.elicit("third", f"And after {len(names)}?", NAME)
    return " ".join(answer.content["name"] for answer in (*names.values(), third))  # type: ignore[union-attr]


@tool(task="escalates")
async def escalate(context: ToolContext) -> str:
    """Ask at once, and go on as a task."""
    answer = await context.elicit("who", "Name?", NAME)
    await context.become_task()
    again = await context.elicit("again", "Name again?", NAME)
    return f"{answer.content['name']} {again.content['name']}"


@tool(task="escalates")
async def try_to_escalate(context: ToolContext) -> str:
    """Go on without a task where there are none."""
    try:
        await context.become_task()
    except MissingCapability:
        return "at once"
    return "as a task"


async def undeclared(context: ToolContext) -> str:
    """Ask to become a task without having said so."""
    await context.become_task()
    return "never"


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    Hanging.began, Hanging.stopped = asyncio.Event(), asyncio.Event()
    tools = [double, slow, refuse, sample, hang, introduce, escalate, try_to_escalate, undeclared]
    return make_plugins(demo=tools)


@pytest.fixture
async def worker(settings: Settings, plugins: Plugins) -> AsyncIterator[Services]:
    """The second replica."""
    async with open_services(settings, plugins) as opened, working(opened):
        yield opened


def serve(services: Services) -> Client:
    """A client of a replica."""
    server = McpServer(
        services.search,
        services.calls,
        services.tools,
        services.registry,
        services.settings,
        Conversations(Sealer(b"a secret of tests"), services.database, services.events, max_streams=10),
        tasks=services.tasks,
    )
    app = sent_by(LOCAL, Litestar([create_mcp_router(services.settings, lambda _: server)], logging_config=None))
    transport = ASGITransport(app)  # type: ignore[arg-type]
    return Client(AsyncClient(transport=transport, base_url="http://127.0.0.1:8000"))


@pytest.fixture
def mcp(services: Services) -> Client:
    """A client of the first replica."""
    return serve(services)


async def call(mcp: Client, name: str, arguments: Any = None, meta: Any = DECLARED, **more: Any) -> Any:
    """The result of tools/call, or its error."""
    params = {"name": name, "arguments": arguments or {}, "_meta": meta} | more
    answer = (await mcp.stateless("tools/call", params)).json()
    return answer.get("result") or answer["error"]


async def ask(mcp: Client, method: str, task_id: str, meta: Any = DECLARED, **more: Any) -> Any:
    """The result of a method that names a task, or its error."""
    params = {"taskId": task_id, "_meta": meta} | more
    answer = (await mcp.stateless(method, params, mcp_name=_in_header(task_id))).json()
    return answer.get("result") or answer["error"]


def _in_header(text: str) -> str:
    if text.isascii() and text.isprintable() and not text.startswith("=?"):
        return text
    return f"=?base64?{b64encode(text.encode()).decode()}?="


async def until(mcp: Client, task_id: str, *statuses: str) -> Any:
    """The task when it has one of these statuses; the test's own time limit bounds it."""
    while True:
        task = await ask(mcp, "tasks/get", task_id)
        if task["status"] in statuses:
            return task
        await asyncio.sleep(0.02)


def accepted(name: str) -> dict[str, Any]:
    return {"action": "accept", "content": {"name": name}}


async def test_a_task_is_created_on_one_replica_run_by_the_other_and_read_on_both(
    mcp: Client, services: Services, worker: Services
) -> None:
    created = await call(mcp, "demo_double", {"n": 21})
    assert {name: created[name] for name in ("resultType", "status", "ttlMs", "pollIntervalMs")} == {
        "resultType": "task",
        "status": "working",
        "ttlMs": 86_400_000,
        "pollIntervalMs": 1000,
    }
    assert not {"content", "result", "requestState", "inputRequests", "error"} & created.keys()
    done = await until(serve(worker), created["taskId"], "completed")
    assert done == await ask(mcp, "tasks/get", created["taskId"])
    assert done["resultType"] == "complete"
    assert done["result"] == {
        "resultType": "complete",
        "content": [{"type": "text", "text": '{"twice":42}'}],
        "structuredContent": {"twice": 42},
        "isError": False,
    }
    assert done["createdAt"] == created["createdAt"] <= done["lastUpdatedAt"]


async def test_a_task_is_one_call_in_the_history(mcp: Client, services: Services, worker: Services) -> None:
    created = await call(mcp, "demo_introduce")
    await until(mcp, created["taskId"], "input_required")
    await ask(mcp, "tasks/update", created["taskId"], inputResponses={"first": accepted("a"), "second": accepted("b")})
    while "third" not in (await until(mcp, created["taskId"], "input_required"))["inputRequests"]:
        pass
    await ask(mcp, "tasks/update", created["taskId"], inputResponses={"third": accepted("c")})
    assert (await until(mcp, created["taskId"], "completed"))["result"]["content"][0]["text"] == "a b c"
    rows: list[Any] = []
    while not rows:
        rows = await services.database.fetch("select id, channel, success from calls")
    kept = await services.database.fetch_row("select execution_id from tasks")
    assert kept
    assert [tuple(row) for row in rows] == [(kept["execution_id"], "mcp", True)]


async def test_call_tool_gives_a_task_for_the_tool_that_it_calls(mcp: Client, worker: Services) -> None:
    created = await call(mcp, "call_tool", {"tool_name": "demo_double", "arguments": {"n": 2}})
    assert (await until(mcp, created["taskId"], "completed"))["result"]["structuredContent"] == {"twice": 4}


async def test_a_client_without_tasks_gets_the_result_at_once(mcp: Client) -> None:
    assert (await call(mcp, "demo_double", {"n": 2}, META))["structuredContent"] == {"twice": 4}
    assert (await call(mcp, "demo_try_to_escalate", meta=META))["content"][0]["text"] == "at once"


@pytest.mark.parametrize("extensions", [{}, {"other": {}}, None, 5])
async def test_a_tool_that_runs_as_a_task_only_needs_a_client_with_tasks(mcp: Client, extensions: Any) -> None:
    meta = META | {CAPABILITIES: {"extensions": extensions}}
    refused = await mcp.stateless("tools/call", {"name": "demo_slow", "arguments": {}, "_meta": meta})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32021)
    assert refused.json()["error"]["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


async def test_the_handshake_era_has_no_tasks(mcp: Client) -> None:
    asked = {"name": "demo_double", "arguments": {"n": 1}}
    assert (await mcp.handshake("tools/call", asked)).json()["result"]["structuredContent"] == {"twice": 2}
    refused = (await mcp.handshake("tools/call", {"name": "demo_slow"})).json()["result"]
    assert refused["isError"]
    assert EXTENSION in refused["content"][0]["text"]
    assert (await mcp.handshake("tasks/get", {"taskId": "x"})).json()["error"]["code"] == -32601


async def test_wrong_arguments_are_answered_at_once(mcp: Client, services: Services) -> None:
    assert (await call(mcp, "demo_double", {"n": "many"}))["isError"]
    assert await services.database.fetch("select from tasks") == []


async def test_a_task_asks_until_it_has_every_answer(mcp: Client, worker: Services) -> None:
    task_id = (await call(mcp, "demo_introduce"))["taskId"]
    asked = await until(mcp, task_id, "input_required")
    question = {"method": "elicitation/create", "params": {"message": "Name?", "requestedSchema": NAME}}
    assert asked["inputRequests"] == {"first": question, "second": question}

    other = serve(worker)
    acknowledged = await ask(
        other, "tasks/update", task_id, inputResponses={"first": accepted("Ada"), "none": {"what": 1}}
    )
    assert acknowledged.keys() == {"resultType", "_meta"}
    assert (await ask(mcp, "tasks/get", task_id))["inputRequests"].keys() == {"second"}
    await ask(mcp, "tasks/update", task_id, inputResponses={"first": accepted("Eve"), "second": accepted("Bob")})
    asked = await until(mcp, task_id, "input_required")
    assert asked["inputRequests"]["third"]["params"]["message"] == "And after 2?"
    await ask(mcp, "tasks/update", task_id, inputResponses={"third": accepted("Cy")})
    done = await until(mcp, task_id, "completed")
    assert done["result"]["content"][0]["text"] == "Ada Bob Cy"
    assert "inputRequests" not in done


async def test_answers_must_be_objects(mcp: Client, worker: Services) -> None:
    task_id = (await call(mcp, "demo_introduce"))["taskId"]
    await until(mcp, task_id, "input_required")
    assert (await ask(mcp, "tasks/update", task_id, inputResponses={"first": 5}))["code"] == -32602
    assert (await ask(mcp, "tasks/update", task_id))["code"] == -32602


async def test_a_cancelled_task_stops_its_tool_on_another_replica(mcp: Client, worker: Services) -> None:
    task_id = (await call(mcp, "demo_hang"))["taskId"]
    await Hanging.began.wait()
    for _ in range(2):
        assert (await ask(mcp, "tasks/cancel", task_id)).keys() == {"resultType", "_meta"}
        assert (await ask(mcp, "tasks/get", task_id))["status"] == "cancelled"
    await Hanging.stopped.wait()
    await ask(mcp, "tasks/update", task_id, inputResponses={"first": accepted("Ada")})
    assert (await ask(mcp, "tasks/get", task_id))["status"] == "cancelled"


async def test_a_task_that_waits_for_answers_can_be_cancelled(mcp: Client, worker: Services) -> None:
    task_id = (await call(mcp, "demo_introduce"))["taskId"]
    await until(mcp, task_id, "input_required")
    await ask(mcp, "tasks/cancel", task_id)
    cancelled = await ask(mcp, "tasks/get", task_id)
    assert (cancelled["status"], "inputRequests" in cancelled) == ("cancelled", False)


async def test_a_task_that_has_ended_cannot_be_cancelled_any_more(mcp: Client, worker: Services) -> None:
    task_id = (await call(mcp, "demo_slow"))["taskId"]
    done = await until(mcp, task_id, "completed")
    assert (await ask(mcp, "tasks/cancel", task_id))["resultType"] == "complete"
    assert await ask(mcp, "tasks/get", task_id) == done


async def test_progress_is_the_status_message(mcp: Client, worker: Services) -> None:
    task_id = (await call(mcp, "demo_hang"))["taskId"]
    await Hanging.began.wait()
    assert (await ask(mcp, "tasks/get", task_id))["statusMessage"] == "one third"


async def test_a_tool_that_fails_completes_its_task_with_an_error_result(mcp: Client, worker: Services) -> None:
    done = await until(mcp, (await call(mcp, "demo_refuse"))["taskId"], "completed", "failed")
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert done["result"]["content"][0]["text"] == "it is closed on Sundays"


async def test_a_task_that_needs_more_than_its_client_can_do_fails(mcp: Client, worker: Services) -> None:
    failed = await until(mcp, (await call(mcp, "demo_sample"))["taskId"], "completed", "failed")
    assert (failed["status"], "result" in failed) == ("failed", False)
    assert (failed["error"]["code"], failed["error"]["message"]) == (-32021, failed["statusMessage"])
    assert failed["error"]["data"] == {"requiredCapabilities": {"sampling": {}}}


async def test_a_tool_asks_in_rounds_until_it_becomes_a_task_that_knows_the_answers(
    mcp: Client, worker: Services
) -> None:
    first = await call(mcp, "demo_escalate")
    assert (first["resultType"], "taskId" in first) == ("input_required", False)
    answers = {"who": accepted("Ada")}
    created = await call(mcp, "demo_escalate", inputResponses=answers, requestState=first["requestState"])
    assert (created["resultType"], created["status"], "requestState" in created) == ("task", "working", False)
    asked = await until(mcp, created["taskId"], "input_required")
    assert list(asked["inputRequests"]) == ["again"]
    await ask(mcp, "tasks/update", created["taskId"], inputResponses={"again": accepted("Lovelace")})
    done = await until(mcp, created["taskId"], "completed")
    assert done["result"]["content"][0]["text"] == "Ada Lovelace"


async def test_a_tool_becomes_a_task_only_if_it_is_declared_so(mcp: Client) -> None:
    assert "crashed" in (await call(mcp, "demo_undeclared"))["content"][0]["text"]


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
class TestMethods:
    @pytest.mark.parametrize("task_id", STRANGE_IDS)
    async def test_a_task_that_is_not_there_is_a_wrong_parameter(self, mcp: Client, method: str, task_id: str) -> None:
        refused = await ask(mcp, method, task_id, inputResponses={})
        assert (refused["code"], "there is no task" in refused["message"]) == (-32602, True)

    async def test_a_client_must_declare_the_extension(self, mcp: Client, method: str) -> None:
        refused = await ask(mcp, method, "unknown", META, inputResponses={})
        assert refused["code"] == -32021
        assert refused["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}

    async def test_the_header_names_the_task(self, mcp: Client, method: str) -> None:
        params = {"taskId": "a", "inputResponses": {}, "_meta": DECLARED}
        for headers in ({"mcp_name": "b"}, {}):
            refused = await mcp.stateless(method, params, **headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32020)
        assert "params.taskId" in refused.json()["error"]["message"]

    async def test_the_id_is_a_text(self, mcp: Client, method: str) -> None:
        refused = await mcp.stateless(method, {"taskId": 5, "inputResponses": {}, "_meta": DECLARED})
        assert refused.json()["error"]["code"] == -32602


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
async def test_methods_of_earlier_drafts_are_not_there(mcp: Client, method: str) -> None:
    refused = await mcp.stateless(method, {"taskId": "a", "_meta": DECLARED})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, -32601)


async def test_tasks_are_advertised_as_an_extension(mcp: Client) -> None:
    capabilities = (await mcp.stateless("server/discover")).json()["result"]["capabilities"]
    assert (capabilities["extensions"], "tasks" in capabilities) == ({EXTENSION: {}}, False)
