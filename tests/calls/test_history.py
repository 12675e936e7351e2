"""The history: no secret is kept, calls are listed page by page, and statistics cost nothing to read."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.testing import AsyncTestClient

from toolbox.calls.history import CallRecord, History
from toolbox.calls.statistics import GROWTH, LEAST_MS, find_bucket
from toolbox.database import Database, open_database
from toolbox.jobs import delete_old_rows
from toolbox.redaction import REDACTED, TOO_DEEP, hide_by_schema

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=2, timeout_seconds=10) as opened:
        yield opened


def record(number: int = 0, **fields: Any) -> CallRecord:
    given_fields = {
        "tool_name": "a",
        "tool_version": "1",
        "caller": "ada",
        "channel": "rest",
        "arguments": {},
        "success": True,
        "started_at": START + timedelta(seconds=number),
        "duration_ms": 1.0,
    }
    return CallRecord(id=uuid4(), **given_fields | fields)


async def write(database: Database, *calls: CallRecord, fields: tuple[str, ...] = ()) -> History:
    history = History(database, fields)
    async with history.running():
        for call in calls:
            history.record(call)
    return history


async def test_secrets_are_not_kept(database: Database) -> None:
    call = record(
        arguments={"password": "hunter2", "pin": "hunter2", "card": {"number": "hunter2"}, "iban": "hunter2", "q": "x"},
        result={"token": "hunter2", "url": "https://u:hunter2@h/", "rows": [{"code": "hunter2", "n": 1}]},
        error_message="401 for Bearer hunter2hunter2",
        schemas=(
            {
                "type": "object",
                "properties": {"pin": {"type": "string", "writeOnly": True}, "card": {"$ref": "#/$defs/card"}},
                "$defs": {"card": {"properties": {"number": {"type": "string", "format": "password"}}}},
            },
            {"properties": {"rows": {"items": {"properties": {"code": {"format": "password"}}}}}},
        ),
    )
    history = await write(database, call, fields=("iban",))
    stored = await history.read(call.id, "ada")
    assert stored is not None
    assert json.loads(bytes(stored.arguments)) == {
        "password": REDACTED,
        "pin": REDACTED,
        "card": {"number": REDACTED},
        "iban": REDACTED,
        "q": "x",
    }
    rows = await database.fetch("select row_to_json(calls)::text as call from calls")
    assert "hunter2" not in str([bytes(row["call"].encode()) for row in rows])


async def test_a_call_whose_writing_was_not_confirmed_is_kept_and_counted_once(database: Database) -> None:
    """The connection was cut between the commit and its confirmation: the batch is written again, with what came."""
    first, second = record(1), record(2)
    await write(database, first)
    history = await write(database, first, second)
    assert history.dropped == 0
    assert len(await database.fetch("select id from calls")) == 2
    assert (await history.statistics()).calls == 2


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"properties": {"next": {"$ref": "#"}, "key": {"writeOnly": True}}}
    value = {"key": "a", "next": {"key": "b", "next": {"key": "c"}}}
    hidden = {"key": REDACTED, "next": {"key": REDACTED, "next": {"key": REDACTED}}}
    assert hide_by_schema(value, schema) == hidden
    assert hide_by_schema(value, {"$ref": "#", "writeOnly": False, "x": {"writeOnly": True}}) == TOO_DEEP


def test_a_value_whose_schema_names_no_secrets_stays_whole_however_deep() -> None:
    value: dict[str, Any] = {}
    for _ in range(100):
        value = {"next": value}
    assert hide_by_schema(value, {"properties": {"next": {"$ref": "#"}}}) == value


async def test_what_is_nested_too_deeply_is_left_out_and_the_rest_is_kept(database: Database) -> None:
    deep: Any = "the bottom"
    for _ in range(900):
        deep = [deep]
    call = record(1, arguments={"value": deep, "city": "Oslo"}, result={"next": deep})
    history = await write(database, call)
    assert history.dropped == 0
    stored = await history.read(call.id, None)
    assert stored is not None
    assert json.loads(bytes(stored.arguments))["city"] == "Oslo"
    assert TOO_DEEP.encode() in bytes(stored.arguments)


async def test_calls_are_listed_page_by_page_and_only_ones_own(
    client: AsyncTestClient[Any], database: Database
) -> None:
    mine = [record(number, caller="anonymous", success=number != 2, trace_id="t") for number in range(5)]
    await write(database, *mine, record(9, caller="bob", tool_name="b", channel="mcp"))
    page = await client.get("/calls", params={"limit": 2})
    seen = page.json()
    while "next" in page.links:
        page = await client.get(page.links["next"]["url"])
        seen += page.json()
    assert [call["id"] for call in seen] == [str(call.id) for call in reversed(mine)]
    assert {(call["caller"], call["trace_id"]) for call in seen} == {("anonymous", "t")}
    assert len((await client.get("/calls", params={"success": "false"})).json()) == 1
    assert len((await client.get("/admin/calls")).json()) == 6
    (others,) = (await client.get("/admin/calls", params={"caller": "bob", "channel": "mcp", "tool": "b"})).json()
    assert (others["tool_name"], others["caller"]) == ("b", "bob")
    until = (START + timedelta(seconds=2)).isoformat()
    assert len((await client.get("/admin/calls", params={"until": until})).json()) == 2
    assert (await client.get("/calls", params={"cursor": "WyJ4Il0"})).status_code == 400

    await write(database, *(record(tool_name="text_reverse", success=number > 0) for number in range(4)))
    stats = (await client.get("/admin/tools/text_reverse/stats")).json()
    assert (stats["calls"], stats["succeeded"], stats["success_rate"]) == (4, 3, 0.75)
    assert stats["p99_ms"] == pytest.approx(1.0, rel=0.011)
    total = (await client.get("/stats")).json()["calls"]
    assert (total["calls"], total["succeeded"], total["success_rate"]) == (10, 8, 0.8)
    assert datetime.fromisoformat(total["last_called_at"]) == START + timedelta(seconds=9)


async def test_retention_keeps_the_newest_calls_and_counts_the_others_still(database: Database) -> None:
    history = await write(database, *(record(number) for number in range(10)))
    await delete_old_rows(database, call_retention_days=0, call_retention_rows=3)
    rows = await database.fetch("select started_at from calls order by started_at")
    assert [row["started_at"] for row in rows] == [START + timedelta(seconds=number) for number in (7, 8, 9)]
    assert (await history.statistics()).calls == 10


@given(st.floats(0, 3_600_000))
def test_a_bucket_holds_its_durations_to_one_percent(duration_ms: float) -> None:
    middle = LEAST_MS * GROWTH ** (find_bucket(duration_ms) + 0.5)
    assert middle == pytest.approx(max(duration_ms, LEAST_MS), rel=0.011)


async def test_a_call_that_cannot_be_recorded_in_time_says_so(
    client: AsyncTestClient[Any], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolbox.batches.WRITE_TIMEOUT_SECONDS", 0.1)
    call = {"tool_name": "text_reverse", "arguments": {"text": "abc"}}
    blocking = await asyncpg.connect(database_url)
    try:
        async with blocking.transaction():
            await blocking.execute("lock table calls in access exclusive mode")
            answer = (await client.post("/mcp/call_tool", json=call)).json()
    finally:
        await blocking.close()
    assert (answer["result"], answer["recorded"]) == ("cba", False)
    while (await client.get(f"/calls/{answer['execution_id']}")).status_code != 200:
        pass  # bounded by the time limit of the test
    monkeypatch.undo()
    while "recorded" in (await client.post("/mcp/call_tool", json=call)).json():
        pass
