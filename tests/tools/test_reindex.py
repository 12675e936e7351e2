"""The index is made anew from definitions, in the background."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from tests.conftest import BASE_URL, wait_until_ready
from toolbox import services as services_module
from toolbox.app import create_app
from toolbox.database import Database, open_database
from toolbox.errors import ToolNotFound
from toolbox.plugins import Plugins
from toolbox.settings import Settings
from toolbox.tools import reindex as reindex_module
from toolbox.tools.reindex import count_outdated, mark_for_reindex, reindex_outdated

SPOILED = """
    update tools set embedding_text = 'spoiled', name_key = '', name_lexemes = ''
"""


def send_letter(address: str) -> str:
    """Send a letter by post to an address."""
    return address


def bake_bread(loaves: int) -> int:
    """Bake loaves of bread in the oven."""
    return loaves


@pytest.fixture(autouse=True)
def short_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_module, "BEAT_SECONDS", 0.1)


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(office=[send_letter, bake_bread], minilm=__import__("toolbox_minilm"))


@pytest.fixture
async def client(settings: Settings, plugins: Plugins) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(settings, plugins), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=1, max_overflow=1, timeout_seconds=10) as opened:
        yield opened


async def read_index(database: Database) -> list[Any]:
    """All that is searched of the tools."""
    rows = await database.fetch(
        """
        select t.name, t.embedding_text, t.name_key, t.name_lexemes,
            (select array_agg((l.lexeme, p.impact) order by l.lexeme)
             from postings p join lexemes l on l.id = p.lexeme_id where p.tool_id = t.id) as words, e.embedding
        from tools t join embeddings e on e.tool_id = t.id order by t.name
        """
    )
    return [tuple(map(str, row.values())) for row in rows]


async def until_equal(database: Database, wanted: list[Any]) -> None:
    """Wait for the queue; the test's own time limit bounds it."""
    while await read_index(database) != wanted:
        pass


async def test_everything_is_made_anew_on_request(client: AsyncTestClient[Any], database: Database) -> None:
    before = await read_index(database)
    await database.execute(SPOILED)
    await database.execute("delete from postings where tool_id = (select min(id) from tools)")
    answer = await client.post("/admin/reindex")
    assert (answer.status_code, answer.json()) == (202, {"tools": 2})
    await until_equal(database, before)


async def test_one_tool_is_made_anew_on_request(client: AsyncTestClient[Any], database: Database) -> None:
    before = await read_index(database)
    await database.execute(f"{SPOILED} where name = 'office_bake_bread'")
    answer = await client.post("/admin/tools/office_bake_bread/reindex")
    assert (answer.status_code, answer.json()) == (202, {"tools": 1})
    await until_equal(database, before)
    assert (await client.post("/admin/tools/office_bake_brea/reindex")).json()["suggestions"][0] == "office_bake_bread"
    for refused in (await client.post("/admin/tools/qqq/reindex"), await client.get("/tools/qqq/similar")):
        assert refused.json()["detail"] == "there is no tool 'qqq'; POST /mcp/find_tool searches by meaning"


async def test_what_an_earlier_version_has_indexed_is_due(client: AsyncTestClient[Any], database: Database) -> None:
    before = await read_index(database)
    assert await count_outdated(database) == 0
    await database.execute(SPOILED)
    await database.execute("update tools set index_version = 0")
    assert await count_outdated(database) == 2
    await until_equal(database, before)  # a server notices by itself


async def test_it_goes_on_where_it_was(
    client: AsyncTestClient[Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex_module, "BATCH", 1)
    await mark_for_reindex(database)
    assert await reindex_outdated(database) + await count_outdated(database) in {0, 1, 2}
    assert await count_outdated(database) == 0


async def test_a_tool_that_is_not_there_cannot_be_marked(client: AsyncTestClient[Any], database: Database) -> None:
    with pytest.raises(ToolNotFound):
        await mark_for_reindex(database, "nothing")
