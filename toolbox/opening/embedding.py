"""The embedding model that the settings name: a plugin's or that of an endpoint, behind its cache."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from msgspec import Struct

from toolbox.database import Database
from toolbox.embeddings.base import Embedder
from toolbox.embeddings.cache import CachedEmbedder
from toolbox.embeddings.observed import ObservedEmbedder
from toolbox.embeddings.shared import SharedEmbeddings
from toolbox.errors import EmbeddingError, SettingsError
from toolbox.index.embeddings import Model, count_pending, find_model, register_model
from toolbox.plugins import Plugins
from toolbox.redis import create_redis
from toolbox.settings import Settings

if TYPE_CHECKING:  # the HTTP client takes a quarter of a second to load, and only an endpoint needs it
    from toolbox.embeddings.endpoint import EndpointEmbedder

WARM_UP = "warm up"
"""A text that nobody waits for."""


class Embedding(Struct, frozen=True):
    """What texts become vectors with."""

    wanted: tuple[Model, Embedder] | None
    """None: tools are found by words alone."""
    complete: tuple[Model, Embedder] | None
    """What to search with at first: another one, while that knows more of the catalogue."""
    cache: CachedEmbedder | None
    endpoint: "EndpointEmbedder | None"


@contextlib.asynccontextmanager
async def open_embedding(settings: Settings, database: Database, plugins: Plugins) -> AsyncIterator[Embedding]:
    """Choose the model and enter it into the database.

    Raises:
        SettingsError: No model is what the settings name, or its dimension cannot be known.
    """
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(_open_endpoint(settings, database))
        chosen = endpoint or choose_embedder(settings, plugins.embedders)
        embedder = ObservedEmbedder(chosen) if chosen else None
        cache = await stack.enter_async_context(_open_cache(settings, embedder))
        wanted = (await register_model(database, embedder), cache or embedder) if embedder else None
        yield Embedding(wanted, await _find_complete(database, wanted, plugins), cache, endpoint)


def choose_embedder(settings: Settings, offered: dict[str, Embedder]) -> Embedder | None:
    """The model that the settings name, or the only one that there is.

    Raises:
        SettingsError: The named model is not offered, several are and none is named, or the dimension is another one.
    """
    names = ", ".join(sorted(offered)) or "none"
    if settings.embedding_model is not None and settings.embedding_model not in offered:
        raise SettingsError(
            f"EMBEDDING_MODEL={settings.embedding_model!r} is offered by no plugin (offered: {names}); a model behind "
            "an HTTP endpoint needs EMBEDDING_ENDPOINT_URL too"
        )
    if settings.embedding_model is None and len(offered) > 1:
        raise SettingsError(f"plugins offer several embedding models ({names}); choose one with EMBEDDING_MODEL")
    if not offered:
        return None
    embedder = offered[settings.embedding_model or next(iter(offered))]
    wanted = settings.embedding_dimension
    if wanted is not None and wanted != embedder.dimensions:
        raise SettingsError(
            f"EMBEDDING_DIMENSION={wanted}, but the model {embedder.name!r} gives {embedder.dimensions} dimensions: "
            "unset the one or choose another EMBEDDING_MODEL"
        )
    return embedder


@contextlib.asynccontextmanager
async def _open_endpoint(settings: Settings, database: Database) -> AsyncIterator["EndpointEmbedder | None"]:
    """The embedding model behind EMBEDDING_ENDPOINT_URL, whose dimension is known; it need not answer now."""
    if settings.embedding_endpoint_url is None:
        yield None
        return
    from toolbox.embeddings.endpoint import open_endpoint

    async with open_endpoint(settings) as endpoint:
        if settings.embedding_dimension is None:
            await _learn_dimension(endpoint, settings, database)
        yield endpoint


async def _learn_dimension(endpoint: "EndpointEmbedder", settings: Settings, database: Database) -> None:
    try:
        await endpoint.embed([WARM_UP], "query")
    except EmbeddingError as error:
        known = await database.fetch_row(
            "select dimensions from models where name = $1 || '@' || dimensions order by id desc limit 1",
            settings.embedding_model,
        )
        if known is None:
            raise SettingsError(
                f"the dimension of EMBEDDING_MODEL={settings.embedding_model!r} is not known: set EMBEDDING_DIMENSION, "
                f"or start when the endpoint answers ({error.message})"
            ) from error
        endpoint.expect(known["dimensions"])


@contextlib.asynccontextmanager
async def _open_cache(settings: Settings, embedder: Embedder | None) -> AsyncIterator[CachedEmbedder | None]:
    if embedder is None or not settings.enable_cache:
        yield None
        return
    ttl_seconds, client = settings.cache_ttl, create_redis(settings)
    async with contextlib.AsyncExitStack() as stack:
        shared = None
        if client:
            stack.push_async_callback(client.aclose)
            shared = SharedEmbeddings(
                client, model=embedder.name, dimensions=embedder.dimensions, ttl_seconds=ttl_seconds
            )
        cache = CachedEmbedder(embedder, ttl_seconds=ttl_seconds, shared=shared)
        stack.push_async_callback(cache.close)
        yield cache


async def _find_complete(
    database: Database, wanted: tuple[Model, Embedder] | None, plugins: Plugins
) -> tuple[Model, Embedder] | None:
    """The model to search with at first: another one that is here, if it knows more tools than the wanted one.

    So a change of models costs no search: whoever had the old one goes on with it until the new one is complete.
    """
    if wanted is None:
        return None
    others = [other for other in plugins.embedders.values() if other.name != wanted[0].name]
    known = [(model, other) for other in others if (model := await find_model(database, other))]
    least = await count_pending(database, wanted[0]) if known else 0
    best = wanted
    for model, other in known:
        pending = await count_pending(database, model)
        if pending < least:
            best, least = (model, other), pending
    return best
