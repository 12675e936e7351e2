"""Who is in a toolset: decided by rules, in the transaction that changes a tool or a rule."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from toolbox.database import Database, open_database
from toolbox.definitions import ToolDefinition
from toolbox.errors import InvalidRequest, NotFound
from toolbox.tools.repository import ToolRepository, set_active, write_tools
from toolbox.tools.sync import import_tools, sync_plugins
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition, to_like
from toolbox.toolsets.service import ToolsetService

TOOLS = [
    ToolDefinition(name="github_create_issue", category="code", tags=("write", "issues")),
    ToolDefinition(name="github_list_issues", category="code", tags=("issues",)),
    ToolDefinition(name="gitlab_list_issues", category="code", tags=("issues",)),
    ToolDefinition(name="get_weather", category="weather"),
    ToolDefinition(name="get_forecast", category="weather", tags=("100%", "a_b")),
    ToolDefinition(name="untidy"),
]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=4, timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
async def toolsets(database: Database) -> ToolsetService:
    """Toolsets over the tools above."""
    await import_tools(database, TOOLS, source="import:test")
    return ToolsetService(database)


def select(*include: Rule, exclude: tuple[Rule, ...] = (), **fields: Any) -> ToolsetDefinition:
    return ToolsetDefinition(rules=Rules(include, exclude), **fields)


async def members(toolsets: ToolsetService, name: str = "mine") -> list[str]:
    toolset = await toolsets.get(name)
    page = await toolsets.repository.read_members(toolset.id, after="", limit=1000)
    assert toolset.tools == len(page.tools)
    assert toolset.revision == page.revision
    return [tool.name for tool in page.tools]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([Rule(name="github_*")], ["github_create_issue", "github_list_issues"]),
        ([Rule(name="git???_list_*")], ["github_list_issues", "gitlab_list_issues"]),
        ([Rule(name="get_weather"), Rule(name="untidy")], ["get_weather", "untidy"]),
        ([Rule(category="weather")], ["get_forecast", "get_weather"]),
        ([Rule(category="w*"), Rule(tags=("write",))], ["get_forecast", "get_weather", "github_create_issue"]),
        ([Rule(tags=("issues", "write"))], ["github_create_issue"]),
        ([Rule(source="import:*", category="code", name="gitlab_*")], ["gitlab_list_issues"]),
        ([Rule(source="plugin:*")], []),
        ([Rule(name="*")], sorted(tool.name for tool in TOOLS)),
        ([Rule(name="get%")], []),
        ([Rule(name="git____list_issues")], []),
        ([Rule(tags=("100%",))], ["get_forecast"]),
    ],
)
async def test_a_tool_is_in_a_toolset_when_a_rule_includes_it(
    toolsets: ToolsetService, rules: list[Rule], expected: list[str]
) -> None:
    assert await toolsets.apply({"mine": select(*rules)}) == {"mine": "created"}
    assert await members(toolsets) == expected


async def test_what_a_rule_excludes_stays_out(toolsets: ToolsetService) -> None:
    exclude = (Rule(tags=("write",)), Rule(name="gitlab_*"))
    await toolsets.apply({"mine": select(Rule(category="code"), exclude=exclude)})
    assert await members(toolsets) == ["github_list_issues"]


@pytest.mark.parametrize(
    ("pattern", "like"),
    [(None, None), ("a*", "a%"), ("a?", "a_"), ("100%_\\*", "100\\%\\_\\\\%")],
)
def test_patterns_know_two_signs_only(pattern: str | None, like: str | None) -> None:
    assert to_like(pattern) == like


async def test_new_changed_and_removed_tools_come_and_go(toolsets: ToolsetService, database: Database) -> None:
    await toolsets.apply({"mine": select(Rule(category="weather"))})
    await import_tools(database, [ToolDefinition(name="get_tides", category="weather")], source="import:more")
    assert await members(toolsets) == ["get_forecast", "get_tides", "get_weather"]
    await import_tools(database, [ToolDefinition(name="get_tides", category="sea")], source="import:more")
    assert await members(toolsets) == ["get_forecast", "get_weather"]
    await import_tools(database, [ToolDefinition(name="get_tides", category="weather")], source="import:more")
    await database.execute("delete from tools where source = 'import:more'")
    assert await members(toolsets) == ["get_forecast", "get_weather"]


async def test_hidden_tools_leave_and_shown_ones_return(toolsets: ToolsetService, database: Database) -> None:
    await toolsets.apply({"mine": select(Rule(category="weather"))})
    (tool,) = await ToolRepository(database).read_index(names=["get_weather"])
    async with database.transaction() as connection:
        await set_active(connection, [tool.id], active=False)
    assert await members(toolsets) == ["get_forecast"]
    async with database.transaction() as connection:
        await set_active(connection, [tool.id], active=True)
    assert await members(toolsets) == ["get_forecast", "get_weather"]


async def test_tools_of_a_plugin_that_is_gone_leave(toolsets: ToolsetService, services: Any) -> None:
    mine = ToolsetService(services.database)
    await mine.apply({"mine": select(Rule(source="plugin:*"))})
    assert len(await members(mine)) == len(services.registry)
    await sync_plugins(services.database, [], replica_id=None, embed=None)
    assert await members(mine) == []


async def test_a_transaction_that_fails_changes_no_member(toolsets: ToolsetService, database: Database) -> None:
    await toolsets.apply({"mine": select(Rule(name="*"))})
    before = await members(toolsets)

    async def fail() -> None:
        async with database.transaction() as connection:
            await write_tools(connection, [ToolDefinition(name="lost")], source="import:x", source_version="")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await members(toolsets) == before


async def test_the_revision_grows_with_what_clients_can_see_and_with_nothing_else(
    toolsets: ToolsetService, database: Database
) -> None:
    weather = {"mine": select(Rule(category="weather"))}
    await toolsets.apply(weather)
    seen = [(await toolsets.get("mine")).revision]

    async def grew() -> bool:
        seen.append((await toolsets.get("mine")).revision)
        return seen[-1] > seen[-2]

    await import_tools(database, [ToolDefinition(name="elsewhere", category="code")], source="import:more")
    assert not await grew()
    await database.execute("update tools set updated_at = now()")
    assert not await grew()
    assert await toolsets.apply(weather) == {"mine": "unchanged"}
    assert not await grew()
    described = ToolDefinition(name="get_weather", category="weather", description="Tell the weather.")
    await import_tools(database, [described], source="import:test")
    assert await grew()
    await import_tools(database, [ToolDefinition(name="get_tides", category="weather")], source="import:more")
    assert await grew()
    assert await toolsets.apply({"mine": select(Rule(category="weather"), title="Weather")}) == {"mine": "changed"}
    assert await grew()


async def test_a_tool_and_a_toolset_that_are_written_at_the_same_time_find_each_other(
    toolsets: ToolsetService, database: Database
) -> None:
    async with database.transaction() as connection:
        await write_tools(
            connection, [ToolDefinition(name="get_tides", category="sea")], source="import:x", source_version=""
        )
        defining = asyncio.create_task(toolsets.apply({"mine": select(Rule(category="sea"))}))
        waiting = "select 1 from pg_locks where not granted and relation = 'toolset_members'::regclass"
        while not await database.fetch(waiting):
            pass
        assert not defining.done()
    await defining
    assert await members(toolsets) == ["get_tides"]


async def test_a_deleted_toolset_is_gone_until_it_is_defined_again(toolsets: ToolsetService) -> None:
    definition = select(Rule(category="weather"))
    await toolsets.apply({"mine": definition})
    before = await toolsets.get("mine")
    await toolsets.delete("mine")
    for attempt in (toolsets.get, toolsets.delete):
        with pytest.raises(NotFound, match="there is no toolset 'mine'"):
            await attempt("mine")
    assert await toolsets.repository.list_toolsets() == []
    assert await toolsets.apply({"mine": definition}) == {"mine": "created"}
    assert await members(toolsets) == ["get_forecast", "get_weather"]
    assert (await toolsets.get("mine")).revision > before.revision


@pytest.mark.parametrize(
    ("name", "definition", "reason"),
    [
        ("a/b", select(Rule(name="*")), "the name must be"),
        ("-a", select(Rule(name="*")), "the name must be"),
        ("a" * 65, select(Rule(name="*")), "the name must be"),
        ("a", select(), "rules.include is empty"),
        ("a", select(Rule(name="*"), Rule()), r"rules.include\[1\] says nothing"),
        ("a", select(Rule(name="*"), exclude=(Rule(),)), r"rules.exclude\[0\] says nothing"),
        ("a", select(Rule(name="*"), version="^1.2"), "must be one version"),
        ("a", select(Rule(name="*"), version="1.x"), "must be one version"),
        ("a", select(Rule(name="*"), version="latest"), "must be one version"),
    ],
)
async def test_a_definition_that_cannot_be_used_leaves_all_as_it_was(
    toolsets: ToolsetService, name: str, definition: ToolsetDefinition, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await toolsets.apply({"good": select(Rule(name="*")), name: definition})
    assert await toolsets.repository.list_toolsets() == []
