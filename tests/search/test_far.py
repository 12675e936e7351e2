"""Filters that many tools pass, all of them far from the query: the indexes give up before the first of them."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import execute, in_database
from toolbox.database import SERVER_SETTINGS
from toolbox.definitions import ToolDefinition
from toolbox.search import sieve
from toolbox.search.service import SearchQuery, SearchService
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import ToolFilter, set_active
from toolbox.tools.sync import embed_missing, import_tools
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService

NEAR, FAR = 60, 5
SMALL = {
    "hnsw.ef_search": "5",
    "hnsw.max_scan_tuples": "1",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_bitmapscan": "off",
}
"""As if the catalogue were large: the model's index is used, and gives up soon."""


@pytest.fixture
async def services(postgres: str, template: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    """Tools that are about clouds alone, and, of another source, some that hardly speak of them."""
    for name, value in SMALL.items():
        monkeypatch.setitem(SERVER_SETTINGS, name, value)
    monkeypatch.setattr(sieve, "FEW", 1)
    monkeypatch.setattr(sieve, "MAX_FILTERED_POSTINGS", 5)
    await execute(postgres, f"create database far template {template}")
    async with open_services(Settings(database_url=Secret(in_database(postgres, "far")))) as opened:
        assert opened.embed is not None
        near = [ToolDefinition(name=f"cloud_{number}", description="Cloud things.") for number in range(NEAR)]
        text = "Split the paragraphs of a long novel at the word cloud, and count the letters of each of them."
        far = [ToolDefinition(name=f"novel_{number}", description=text) for number in range(FAR)]
        await import_tools(opened.database, near, source="import:cloud")
        await import_tools(opened.database, far, source="import:text")
        await embed_missing(opened.database, *opened.embed)
        await opened.database.execute("analyze")
        yield opened
    await execute(postgres, "drop database far with (force)")


@pytest.mark.parametrize("filter_", [ToolFilter(source="import:text"), ToolFilter(within=("novels",))])
async def test_what_passes_is_found_however_far_it_is(services: Services, filter_: ToolFilter) -> None:
    novels = ToolsetDefinition(rules=Rules((Rule(name="novel_*"),)))
    await ToolsetService(services.database).apply({"novels": novels})
    wanted = SearchQuery("cloud things", FAR, filter=filter_, use_hybrid=False)
    by_meaning = await services.search.find_tools(wanted)
    by_words = await SearchService(services.database, None).find_tools(wanted)
    expected = {f"novel_{number}" for number in range(FAR)}
    assert {match.tool.name for match in by_meaning.matches} == expected
    assert {match.tool.name for match in by_words.matches} == expected

    rows = await services.database.fetch("select id from tools where name like 'cloud%'")
    async with services.database.transaction() as connection:
        await set_active(connection, [row["id"] for row in rows], active=False)
    found = await services.search.find_tools(SearchQuery("cloud things", FAR, use_hybrid=False))
    assert {match.tool.name for match in found.matches} == expected
    similar = await services.search.find_similar("novel_0", FAR)
    assert {match.tool.name for match in similar} == expected - {"novel_0"}
