"""/metrics, as Prometheus reads it."""

from typing import Any

from litestar.testing import AsyncTestClient
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from toolbox.metrics import MAX_NAMES, OTHER, Labelled

HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}


def read(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and values of labels, in the order of the labels' names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(client: AsyncTestClient[Any]) -> dict[tuple[str, ...], float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(answer.text)


async def test_what_happens_is_counted(client: AsyncTestClient[Any]) -> None:
    before = await scrape(client)
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    call = {"name": "text_reverse", "arguments": {"text": "abc"}}
    for params in (call, call, call | {"arguments": {}}, {"name": "no_such_tool", "arguments": {}}):
        await client.post("/mcp", json=request | {"params": params}, headers=HEADERS)
    await client.post("/mcp", json=request | {"method": "made/up"}, headers=HEADERS)
    await client.post("/mcp/call_tool", json={"tool_name": "made_up", "arguments": {}})
    for category in (None, "none has this"):
        found = await client.post("/mcp/find_tool", json={"query": "reverse a text", "category": category})
        assert found.status_code == 200
    await client.get("/no/such/path")
    after = await scrape(client)

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown("toolbox_http_request_seconds_count", "POST", "/mcp", "200") == 5
    assert grown("toolbox_http_request_seconds_count", "GET", "(none)", "404") == 1
    assert grown("toolbox_mcp_requests_total", "tools/call", "ok", "2025-11-25") == 3
    assert grown("toolbox_mcp_requests_total", "tools/call", "-32602", "2025-11-25") == 1
    assert grown("toolbox_mcp_requests_total", "(unknown)", "-32601", "2025-11-25") == 1
    assert grown("toolbox_calls_total", "ok", "text_reverse") == 2
    assert grown("toolbox_calls_total", "invalid_arguments", "text_reverse") == 1
    assert grown("toolbox_calls_total", "tool_not_found", "(none)") == 2
    assert grown("toolbox_call_seconds_count", "mcp") == 2
    assert grown("toolbox_searches_total", "false", "found") == 1
    assert grown("toolbox_searches_total", "false", "empty") == 1
    assert grown("toolbox_search_seconds_count", "database") == 2
    looked_up = grown("toolbox_embedding_cache_total", "memory") + grown("toolbox_embedding_cache_total", "model")
    assert looked_up in {2, 3}  # the server may be warming up only now
    assert after["toolbox_tokens_saved_total",] > 1000
    assert not [key for key in after if "made_up" in key or "no_such_tool" in key or "made/up" in key]


async def test_what_is_there_is_looked_up(client: AsyncTestClient[Any]) -> None:
    seen = await scrape(client)
    assert seen["toolbox_database_up",] == 1
    assert seen["toolbox_tools", "active"] >= 30
    assert seen["toolbox_embeddings_waiting",] == 0
    assert seen["toolbox_catalogue_tokens",] > 1000
    assert seen["toolbox_queue_jobs", "failed"] == 0
    assert seen["toolbox_http_requests_running",] == 1
    assert seen["toolbox_database_connections", "idle"] + seen["toolbox_database_connections", "used"] >= 1
    assert seen["toolbox_database_connections_max",] == 10
    assert seen["toolbox_memory_bytes",] > 1e7
    assert seen["toolbox_syncs_total", "ok"] >= 1


def test_a_label_that_others_choose_takes_only_so_many_values() -> None:
    counter = Counter("demo", "Demo.", ("tool", "status"), registry=CollectorRegistry())
    labelled = Labelled(counter, open=("tool",))
    for number in range(MAX_NAMES + 5):
        labelled[f"tool_{number}", "ok"].inc()
    labelled["tool_0", "failed"].inc()
    values = {
        tuple(sample.labels.values()): sample.value
        for family in counter.collect()
        for sample in family.samples
        if sample.name == "demo_total"
    }
    assert len(values) == MAX_NAMES + 2
    assert values[OTHER, "ok"] == 5
    assert values["tool_0", "failed"] == 1
    assert len(labelled) == MAX_NAMES + 1
