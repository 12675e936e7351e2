"""Searching the first-party plugins with the real model."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from tests.conftest import execute, in_database
from toolbox.auth.callers import LOCAL
from toolbox.definitions import ToolDefinition
from toolbox.embeddings.base import Purpose
from toolbox.embeddings.cache import CachedEmbedder
from toolbox.errors import EmbeddingError, SettingsError, ToolNotFound
from toolbox.opening.embedding import choose_embedder
from toolbox.plugins import Plugins
from toolbox.search import sieve
from toolbox.search.schemas import MAX_FOUND, FindRequest
from toolbox.search.service import SearchQuery, SearchService
from toolbox.search.spelling import Spelling
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings
from toolbox.tools.repository import ToolFilter
from toolbox.tools.sync import embed_missing, import_tools
from toolbox.toolsets.schemas import Rule, Rules, ToolsetDefinition
from toolbox.toolsets.service import ToolsetService


@pytest.fixture(scope="module")
async def services(postgres: str, template: str) -> AsyncIterator[Services]:
    """One catalogue for all tests here, which change none of its tools."""
    await execute(postgres, f"create database searched template {template}")
    async with open_services(Settings(database_url=Secret(in_database(postgres, "searched")))) as opened:
        await opened.sync()
        yield opened
    await execute(postgres, "drop database searched with (force)")


async def find(services: Services, text: str, **wanted: Any) -> list[str]:
    found = await services.search.find_tools(SearchQuery(text, 10, **wanted))
    return [match.tool.name for match in found.matches]


async def test_the_examples_of_our_own_plugins_find_their_tools(services: Services) -> None:
    examples = [(tool.name, example.query) for tool in services.registry for example in tool.definition.examples]
    assert len(examples) >= 90
    missed = {query: name for name, query in examples if (await find(services, query))[0] != name}
    assert len(missed) / len(examples) <= 0.05, missed


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("make this string lowercase", "text_change_case"),
        ("how many miles is a marathon of 42 km", "calculator_convert_unit"),
        ("what day of the week is christmas", "time_calendar_facts"),
        ("spreadsheet rows to objects", "data_csv_to_json"),
        ("CALCULATOR evaluate", "calculator_evaluate"),
        ("textReverse", "text_reverse"),
    ],
)
async def test_a_tool_is_found_in_other_words_than_its_own(services: Services, query: str, name: str) -> None:
    assert name in (await find(services, query))[:3]


async def test_a_name_comes_first_however_it_is_spelled(services: Services) -> None:
    for query in ("data_merge", "Data Merge", "dataMerge", "DATA-MERGE"):
        found = await services.search.find_tools(SearchQuery(query, 3))
        assert (found.matches[0].tool.name, found.matches[0].similarity) == ("data_merge", 1.0)
    reordered = await services.search.find_tools(SearchQuery("merge data", 3))
    assert (reordered.matches[0].tool.name, reordered.matches[0].similarity) == ("data_merge", 0.99)


@pytest.mark.parametrize("query", ["!?", "日本語のテキスト", "zzzzqqqq", "\n", "a" * 4096, "' or 1=1 --", "%_%"])
async def test_any_query_has_an_answer(services: Services, query: str) -> None:
    assert len(await find(services, query)) == 10


async def test_words_alone_and_meaning_alone_are_searched_on_request(services: Services) -> None:
    assert (await find(services, "reverse", vector_weight=0.0))[0] == "text_reverse"
    assert "text_reverse" in (await find(services, "backwards", use_hybrid=False))[:3]


async def test_a_filter_is_part_of_the_search_and_not_a_sieve_behind_it(services: Services) -> None:
    for filter_ in (ToolFilter(category="time"), ToolFilter(source="plugin:time"), ToolFilter(tags=("time",))):
        found = await find(services, "reverse the words of a text", filter=filter_)
        assert found
        assert all(name.startswith("time_") for name in found)


async def test_a_filter_that_many_pass_finds_what_one_that_few_pass_does(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters = (ToolFilter(category="time"), ToolFilter(tags=("time",)), ToolFilter(source="plugin:text"))
    queries = ("reverse the words of a text", "what day is it", "zzz")
    few = [await find(services, text, filter=filter_) for filter_ in filters for text in queries]
    monkeypatch.setattr(sieve, "FEW", 1)
    many = [await find(services, text, filter=filter_) for filter_ in filters for text in queries]
    assert few == many


@pytest.mark.parametrize("few", [sieve.FEW, 1])
async def test_tools_of_toolsets_are_found_as_by_any_other_filter(
    services: Services, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    rules = {"times": Rules((Rule(category="time"),)), "also": Rules((Rule(name="time_*"), Rule(name="text_*")))}
    toolsets = {name: ToolsetDefinition(rules=rule) for name, rule in rules.items()}
    await ToolsetService(services.database).apply(toolsets)
    monkeypatch.setattr(sieve, "FEW", few)
    for query in ("reverse the words of a text", "what day is it, and which words are there", "time_now", "zzz"):
        times = await services.search.find_tools(SearchQuery(query, 50, filter=ToolFilter(category="time")))
        for wanted in (ToolFilter(within=("times",)), ToolFilter(within=("times", "also"), category="time")):
            assert (await services.search.find_tools(SearchQuery(query, 50, filter=wanted))).matches == times.matches
        both = [
            await find(services, query, filter=ToolFilter(within=names)) for names in (("also",), ("also", "times"))
        ]
        assert both[0] == both[1]
    assert await find(services, "what day is it", filter=ToolFilter(within=("none of them",))) == []


async def test_a_tool_has_relatives_but_is_none_of_its_own(services: Services) -> None:
    similar = await services.search.find_similar("data_json_to_yaml", 5)
    names = [match.tool.name for match in similar]
    assert "data_yaml_to_json" in names
    assert "data_json_to_yaml" not in names
    assert [match.similarity for match in similar] == sorted((m.similarity for m in similar), reverse=True)
    with pytest.raises(ToolNotFound):
        await services.search.find_similar("nothing", 5)
    with pytest.raises(ToolNotFound):
        await services.search.find_similar("data_json_to_yaml", 5, within=("a toolset that it is not in",))


async def test_when_the_model_fails_words_are_searched_and_the_answer_says_so(services: Services) -> None:
    assert services.embed is not None
    search = SearchService(services.database, (services.embed[0], Failing()))
    found = await search.find_tools(SearchQuery("reverse a text", 3))
    assert found.is_degraded
    assert found.matches[0].tool.name == "text_reverse"


class Failing:
    """An embedder out of order."""

    name = "failing"
    dimensions = 384

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Any:
        raise EmbeddingError("the model is out of order")


async def test_the_approximate_index_finds_what_an_exact_scan_does(settings: Settings) -> None:
    """With enough tools PostgreSQL uses the model's HNSW index; the nearest are the same."""
    async with open_services(settings) as services:
        assert services.embed is not None
        words = [f"{verb} {thing}" for verb in VERBS for thing in THINGS]
        definitions = [ToolDefinition(name=text.replace(" ", "_"), description=text) for text in words]
        await import_tools(services.database, definitions, source="import:test")
        await embed_missing(services.database, *services.embed)
        await services.database.execute("analyze")
        everything = ToolFilter(source="import:test")
        for query in ("delete an invoice", "show all users", "send a letter"):
            approximate = await find(services, query, vector_weight=1.0)
            exact = await find(services, query, vector_weight=1.0, filter=everything)
            assert len(set(approximate) & set(exact)) >= 9


VERBS = ("create", "delete", "update", "show", "list", "send", "archive", "export", "import", "share", "rename", "copy")
THINGS = (
    *("invoice", "user", "letter", "message", "file", "folder", "customer", "order", "product", "ticket", "meeting"),
    *("event", "contact", "task", "project", "report", "payment", "account", "photo", "video", "song", "book", "map"),
)


def plugins_with(*names: str) -> Plugins:
    plugins = Plugins()
    for name in names:
        embedder = Failing()
        embedder.name = name
        plugins.embedders[name] = embedder
    return plugins


def test_the_model_is_the_named_one_or_the_only_one() -> None:
    assert choose_embedder(Settings(), {}) is None
    one = plugins_with("a").embedders
    assert choose_embedder(Settings(), one) is one["a"]
    two = plugins_with("a", "b").embedders
    assert choose_embedder(Settings(embedding_model="b"), two) is two["b"]
    with pytest.raises(SettingsError, match="EMBEDDING_MODEL"):
        choose_embedder(Settings(), two)
    with pytest.raises(SettingsError, match="'c'"):
        choose_embedder(Settings(embedding_model="c"), two)


async def test_a_dimension_that_contradicts_the_model_refuses_the_start(settings: Settings) -> None:
    contradicting = structs.replace(settings, embedding_dimension=256)
    with pytest.raises(SettingsError, match=r"256.*384"):
        async with open_services(contradicting):
            pass


def test_the_cache_is_in_front_of_the_model_by_default(services: Services) -> None:
    assert services.embed is not None
    assert isinstance(services.embed[1], CachedEmbedder)


async def test_an_explanation_adds_up_to_the_score(services: Services) -> None:
    found = await services.search.find_tools(
        SearchQuery("convert the csv table to json and then count the words of a text", 5, explain=True)
    )
    why = found.matches[0].explanation
    assert why is not None
    stages = (why.meaning, why.words, why.clause_meaning, why.clause_words)
    assert why.score == pytest.approx(sum(stage.adds for stage in stages if stage), abs=0.001)
    assert len(why.searched.clauses) == 2


async def test_a_misspelled_word_finds_what_was_meant(services: Services) -> None:
    found = await services.search.find_tools(SearchQuery("revrese a text", 3, explain=True))
    assert found.matches[0].tool.name == "text_reverse"
    assert found.matches[0].explanation is not None
    assert found.matches[0].explanation.searched.corrected == "reverse a text"


async def test_a_word_that_the_model_knows_is_no_misspelled_one(services: Services) -> None:
    found = await services.search.find_tools(SearchQuery("sharpen my swords", 3, explain=True))
    assert (await Spelling(services.database).vocabulary()).corrections("my swords") == {"swords": "words"}
    assert found.matches[0].explanation is not None
    assert found.matches[0].explanation.searched.corrected is None


async def test_the_scores_of_the_catalogue_are_calibrated(services: Services) -> None:
    found = await services.search.find_tools(SearchQuery("reverse a text", 1))
    assert 0 < found.calibration.cosine_mean < 0.6
    assert found.calibration.text_deviation > 0


async def test_the_examples_of_our_own_plugins_are_similar_to_their_tools(services: Services) -> None:
    examples = [(tool.name, example.query) for tool in services.registry for example in tool.definition.examples]
    similar = 0
    for name, query in examples:
        found = await services.search.find_tools(SearchQuery(query, 10))
        similar += any(match.tool.name == name and match.similarity >= 0.8 for match in found.matches)
    assert similar / len(examples) >= 0.9


async def test_tools_are_counted_as_they_come_and_go(settings: Settings) -> None:
    async with open_services(settings) as services:
        definitions = [ToolDefinition(name=f"count_{number}", description="counted") for number in range(3)]
        await import_tools(services.database, definitions, source="import:counted")
        assert await counted(services) == 3
        await import_tools(services.database, definitions[:1], source="import:counted")
        assert await counted(services) == 3
        await services.tools.delete_source("import:counted")
        assert await counted(services) == 0


async def counted(services: Services) -> int:
    row = await services.database.fetch_row("select tools from lexemes where lexeme = ''")
    assert row is not None
    return int(row["tools"])


async def test_tools_with_the_same_words_are_duplicates(settings: Settings) -> None:
    async with open_services(settings) as services:
        assert services.embed is not None
        definitions = [
            ToolDefinition(name="user_create", description="Create a user of the shop."),
            ToolDefinition(name="user_create_2", description="Create a user of the shop."),
            ToolDefinition(name="user_delete", description="Delete a user of the shop."),
        ]
        await import_tools(services.database, definitions, source="import:twice")
        await embed_missing(services.database, *services.embed)
        pairs = await services.search.find_duplicates(0.6, lambda _done, _total: None)
        assert [(pair.name, pair.other_name) for pair in pairs] == [("user_create", "user_create_2")]


async def test_tools_that_differ_by_their_names_alone_are_duplicates(settings: Settings) -> None:
    cart = {"type": "object", "properties": {"cart_id": {"type": "string"}, "voucher": {"type": "string"}}}
    order = {"type": "object", "properties": {"order_number": {"type": "string"}}}
    async with open_services(settings) as services:
        assert services.embed is not None
        definitions = [
            ToolDefinition(name="a_total", description="Get the price of all goods in a cart.", input_schema=cart),
            ToolDefinition(name="b_sum", description="Fetches the price of all goods in a cart.", input_schema=cart),
            ToolDefinition(name="c_paid", description="Get the price of all goods in an order.", input_schema=order),
            ToolDefinition(name="d_empty", description="Remove all goods from a cart.", input_schema=cart),
        ]
        await import_tools(services.database, definitions, source="import:twice")
        await embed_missing(services.database, *services.embed)
        pairs = await services.search.find_duplicates(0.8, lambda _done, _total: None)
        assert [(pair.name, pair.other_name) for pair in pairs] == [("a_total", "b_sum")]


async def test_matches_come_in_pages_that_fit_together(services: Services) -> None:
    query = SearchQuery("convert a text", 12)
    whole = (await services.search.find_tools(query)).matches
    pages = [
        match
        for offset in (0, 5, 10)
        for match in (await services.search.find_tools(structs.replace(query, limit=5, offset=offset))).matches
    ]
    assert [(match.tool.name, match.similarity) for match in pages[:12]] == [
        (match.tool.name, match.similarity) for match in whole
    ]
    for offset, most in ((MAX_FOUND - 5, 5), (MAX_FOUND, 0), (1_000_000_000, 0)):
        page = FindRequest(query="convert a text", limit=50, offset=offset).to_query(services.settings, LOCAL)
        assert (page.limit, (await services.search.find_tools(page)).matches) == (most, [])
