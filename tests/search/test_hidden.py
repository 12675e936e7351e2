"""Tools that nobody may see take no place from those that can be found."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import execute, in_database
from toolbox.definitions import ToolDefinition
from toolbox.index.calibration import calibrate
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import ToolFilter, set_active
from toolbox.tools.sync import embed_missing, import_tools

HIDDEN = 120
CLEANER = ToolDefinition(name="zoo_cleaner", description="Cleans the cage of a zebra: nothing is left to purge.")
KEEPER = ToolDefinition(name="zoo_keeper", description="Cleans the cages of zebras: nothing is left to purge.")


@pytest.fixture(scope="module")
async def services(postgres: str, template: str) -> AsyncIterator[Services]:
    """A catalogue of two tools, and many that are nearer to everything that is asked here, and hidden."""
    await execute(postgres, f"create database hiding template {template}")
    async with open_services(Settings(database_url=Secret(in_database(postgres, "hiding")))) as opened:
        assert opened.embed is not None
        gone = [
            ToolDefinition(
                name=f"purge_zebra_archive_{number}",
                description=f"Purge the zebra archive {number}. Cleans the cages of zebras.",
                metadata={"original_name": "purge the zebra archive"},
            )
            for number in range(HIDDEN)
        ]
        await import_tools(opened.database, [CLEANER, KEEPER, *gone], source="import:zoo")
        await embed_missing(opened.database, *opened.embed)
        rows = await opened.database.fetch("select id from tools where name like 'purge%'")
        async with opened.database.transaction() as connection:
            await set_active(connection, [row["id"] for row in rows], active=False)
        yield opened
    await execute(postgres, "drop database hiding with (force)")


@pytest.mark.parametrize("use_hybrid", [True, False])
@pytest.mark.parametrize("wanted", [ToolFilter(), ToolFilter(source="import:zoo")])
async def test_what_is_hidden_takes_no_place_among_what_is_found(
    services: Services, use_hybrid: bool, wanted: ToolFilter
) -> None:
    query = SearchQuery("purge the zebra archive", 5, filter=wanted, use_hybrid=use_hybrid)
    found = await services.search.find_tools(query)
    assert {match.tool.name for match in found.matches} == {"zoo_cleaner", "zoo_keeper"}


async def test_words_alone_find_what_is_not_hidden(services: Services) -> None:
    found = await services.search.find_tools(SearchQuery("purge the zebra archive", 5, vector_weight=0.0))
    assert {match.tool.name for match in found.matches} == {"zoo_cleaner", "zoo_keeper"}
    assert all(match.scores.text_score for match in found.matches)


async def test_the_name_that_was_meant_is_one_that_is_not_hidden(services: Services) -> None:
    assert await services.tools.near_names("zebra_keepr") == ["zoo_keeper"]


async def test_what_is_hidden_is_found_by_who_asks_for_it(services: Services) -> None:
    found = await services.search.find_tools(
        SearchQuery("purge the zebra archive", 200, filter=ToolFilter(active_only=False))
    )
    assert len(found.matches) > 100


async def test_what_is_hidden_is_no_relative(services: Services) -> None:
    similar = await services.search.find_similar("zoo_cleaner", 5)
    assert [match.tool.name for match in similar] == ["zoo_keeper"]


async def test_what_is_hidden_does_not_hide_duplicates(services: Services) -> None:
    reports = list[tuple[int, int]]()
    pairs = await services.search.find_duplicates(0.5, lambda done, total: reports.append((done, total)))
    assert [(pair.name, pair.other_name) for pair in pairs] == [("zoo_cleaner", "zoo_keeper")]
    assert reports == [(2, 2)]


async def test_a_catalogue_of_which_much_was_hidden_is_measured_anew(services: Services) -> None:
    assert services.embed is not None
    model, embedder = services.embed
    statement = "select calibrated_tools, cosine_mean, text_mean from models where id = $1"
    before = await services.database.fetch_row(statement, model.id)
    assert await calibrate(services.database, model, embedder)
    after = await services.database.fetch_row(statement, model.id)
    assert before is not None
    assert after is not None
    assert (before["calibrated_tools"], after["calibrated_tools"]) == (HIDDEN + 2, 2)
    assert after["cosine_mean"] < before["cosine_mean"]
    assert not await calibrate(services.database, model, embedder)
