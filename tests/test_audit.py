"""The audit log: every change has its entry, none has a secret in it, and operators read it page by page."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from tests.flows.conftest import run_toolbox
from toolbox.audit import ITSELF, AuditedChange, AuditEntry, AuditFilter, read_audit, record
from toolbox.database import Database, open_database
from toolbox.definitions import ToolDefinition
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import import_tools
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=2, timeout_seconds=10) as opened:
        yield opened


async def read(database: Database, **wanted: Any) -> list[AuditedChange]:
    return await read_audit(database, AuditFilter(**wanted), limit=100)


def plain(value: Any) -> Any:
    return None if value is None else json.loads(bytes(value))


async def test_a_change_that_is_rolled_back_leaves_no_entry(database: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as connection:
            await record(connection, AuditEntry("ada", "tool.created", "tool", "a"))
            raise ZeroDivisionError
    assert await read(database) == []


async def test_secrets_are_not_kept(database: Database) -> None:
    implementation = {
        "url": "https://ada:hunter2@api.example/v1",
        "headers": {"Authorization": "Bearer abcdef123456", "X-Api-Key": "k-123", "Accept": "application/json"},
        "auth": {"token": "${secret:github}", "client_secret": "hunter2"},
        "input_schema": {"properties": {"password": {"type": "string"}}},
        "max_tokens": 10,
    }
    async with database.transaction() as connection:
        await record(connection, AuditEntry("ada", "tool.created", "tool", "a", after=implementation))
    (change,) = await read(database)
    assert plain(change.after) == {
        "url": "https://[redacted]@api.example/v1",
        "headers": {"Authorization": "[redacted]", "X-Api-Key": "[redacted]", "Accept": "application/json"},
        "auth": {"token": "${secret:github}", "client_secret": "[redacted]"},
        "input_schema": {"properties": {"password": {"type": "string"}}},
        "max_tokens": 10,
    }
    assert (change.before, change.request_id) == (None, None)


async def test_toolsets_imports_and_removed_sources_are_audited(database: Database) -> None:
    toolsets = ToolsetService(database)
    first = ToolsetDefinition(rules=Rules((Rule(name="a*"),)))
    second = ToolsetDefinition(rules=Rules((Rule(name="b*"),)), title="B")
    for definition in (first, first, second):
        await toolsets.apply({"mine": definition}, caller="ada")
    await toolsets.delete("mine", caller="bob")
    await import_tools(database, [ToolDefinition(name="a"), ToolDefinition(name="b")], source="import:x", caller="ada")
    await ToolRepository(database).delete_source("import:x", caller="ada")
    seen = [(change.caller, change.action, change.subject) for change in reversed(await read(database))]
    assert seen == [
        ("ada", "toolset.created", "mine"),
        ("ada", "toolset.changed", "mine"),
        ("bob", "toolset.deleted", "mine"),
        ("ada", "source.imported", "import:x"),
        ("ada", "source.deleted", "import:x"),
    ]
    (changed,) = await read(database, action="toolset.changed")
    assert (plain(changed.before)["title"], plain(changed.after)["title"]) == (None, "B")
    (imported,) = await read(database, subject="import:x", action="source.imported")
    assert plain(imported.after) == {"added": {"count": 2, "names": ["a", "b"]}}


async def test_operators_read_it_page_by_page_over_rest(client: AsyncTestClient[Any], database: Database) -> None:
    synced = (await client.get("/admin/audit", params={"caller": ITSELF})).json()
    assert {change["action"] for change in synced} == {"source.synced"}
    async with database.transaction() as connection:
        await record(connection, *(AuditEntry("ada", "tool.updated", "tool", f"t{number}") for number in range(5)))
    page = await client.get("/admin/audit", params={"caller": "ada", "limit": 2})
    seen = [change["subject"] for change in page.json()]
    while "next" in page.links:
        page = await client.get(page.links["next"]["url"])
        seen += [change["subject"] for change in page.json()]
    assert seen == ["t4", "t3", "t2", "t1", "t0"]
    since = page.json()[0]["at"]
    assert (await client.get("/admin/audit", params={"until": since, "caller": "ada"})).json() == []
    assert (await client.get("/admin/audit", params={"cursor": "x"})).status_code == 400


def test_the_command_line_names_who_did_what(database_url: str) -> None:
    shown = run_toolbox("sync", DATABASE_URL=database_url)
    assert shown.returncode == 0, shown.stderr
    listed = json.loads(run_toolbox("audit", "--kind", "source", "--json", DATABASE_URL=database_url).stdout)
    assert {change["caller"] for change in listed} == {ITSELF}
    assert "source.synced" in run_toolbox("audit", DATABASE_URL=database_url).stdout
    assert "no change is like that" in run_toolbox("audit", "--kind", "nothing", DATABASE_URL=database_url).stdout
