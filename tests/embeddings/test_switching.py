"""Changing the embedding model while others search: nobody's search gets worse meanwhile."""

import hashlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy
import pytest
from msgspec import structs

import toolbox
from tests.conftest import execute
from toolbox import services as services_module
from toolbox.plugins import Plugins
from toolbox.search.service import SearchQuery
from toolbox.services import Services, open_services, serving
from toolbox.settings import Settings

if TYPE_CHECKING:
    from toolbox.embeddings.base import Vectors


class Hashing:
    """A model whose vectors are sums of the hashes of words."""

    def __init__(self, name: str, dimensions: int) -> None:
        self.name = name
        self.dimensions = dimensions
        self.embedded: list[str] = []

    async def embed(self, texts: Sequence[str], kind: Literal["query", "tool"]) -> "Vectors":
        """One vector a text."""
        if kind == "tool":
            self.embedded += texts
        vectors = numpy.stack([self._sum(text) for text in texts])
        return numpy.asarray(vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True), dtype=numpy.float32)

    def _sum(self, text: str) -> Any:
        seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") for word in text.lower().split()]
        return sum(numpy.random.default_rng(seed).standard_normal(self.dimensions) for seed in seeds or [0])


def send_letter(address: str) -> str:
    """Send a letter by post to an address."""
    return address


def bake_bread(loaves: int) -> int:
    """Bake loaves of bread in the oven."""
    return loaves


@pytest.fixture
def old() -> Hashing:
    return Hashing("old", 32)


@pytest.fixture
def new() -> Hashing:
    return Hashing("new", 48)


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins], old: Hashing, new: Hashing) -> Plugins:
    models = ModuleType("models")
    models.toolbox_embedders = toolbox.hookimpl(specname="toolbox_embedders")(lambda: [old, new])  # type: ignore[attr-defined]
    return make_plugins(office=[send_letter, bake_bread], models=models)


@pytest.fixture(autouse=True)
def short_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services_module, "BEAT_SECONDS", 0.05)


def using(settings: Settings, model: str) -> Settings:
    return structs.replace(settings, embedding_model=model, enable_cache=False)


async def find(services: Services) -> list[str]:
    result = await services.search.find_tools(SearchQuery("bake bread", 5))
    assert all(match.scores.cosine is not None for match in result.matches)
    return [match.tool.name for match in result.matches]


async def until_searched_with(services: Services, model: str) -> None:
    """Wait for it; the test's own time limit bounds it."""
    while not services.is_ready or services.search.model_name != model:
        await services.database.fetch("select 1")


async def test_search_stays_with_the_old_model_until_the_new_one_is_complete(
    settings: Settings, plugins: Plugins, new: Hashing
) -> None:
    async with open_services(using(settings, "old"), plugins) as services:
        await services.sync()
    async with open_services(using(settings, "new"), plugins) as services:
        assert services.search.model_name == "old"
        await services.sync()  # nobody works the queue yet
        assert (services.search.model_name, new.embedded) == ("old", [])
        assert (await find(services))[0] == "office_bake_bread"
        async with serving(services):
            while services.search.model_name != "new":
                assert (await find(services))[0] == "office_bake_bread"
        assert len(new.embedded) == 2
        assert (await find(services))[0] == "office_bake_bread"


async def test_going_back_needs_no_embedding(settings: Settings, plugins: Plugins, old: Hashing) -> None:
    for model in ("old", "new"):
        async with open_services(using(settings, model), plugins) as services, serving(services):
            await until_searched_with(services, model)
    old.embedded.clear()
    async with open_services(using(settings, "old"), plugins) as services:
        await services.sync()
        assert (services.search.model_name, old.embedded) == ("old", [])


async def test_two_replicas_with_different_models_both_work(settings: Settings, plugins: Plugins) -> None:
    async with (
        open_services(using(settings, "old"), plugins) as first,
        open_services(using(settings, "new"), plugins) as second,
        serving(first),
        serving(second),
    ):
        await until_searched_with(first, "old")
        await until_searched_with(second, "new")
        assert (await find(first))[0] == (await find(second))[0] == "office_bake_bread"
        assert first.search.model_name == "old"


async def test_a_model_that_knows_less_does_not_take_the_place_of_the_wanted_one(
    settings: Settings, plugins: Plugins, database_url: str
) -> None:
    for model in ("old", "new"):
        async with open_services(using(settings, model), plugins) as services, serving(services):
            await until_searched_with(services, model)
    await execute(database_url, "delete from embeddings where model_id = (select id from models where name = 'old')")
    async with open_services(using(settings, "new"), plugins) as services:
        assert services.search.model_name == "new"
