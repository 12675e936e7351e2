"""/metrics, for Prometheus: what all server processes of this machine have counted, and what the database holds."""

import asyncio
from collections.abc import Callable

from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec

from toolbox.admin.service import count_tools
from toolbox.database import Database
from toolbox.errors import DatabaseUnavailable
from toolbox.index.embeddings import Model, count_pending
from toolbox.kept import Kept
from toolbox.metrics import CONTENT_TYPE, Fact, show_metrics
from toolbox.queue import Queue
from toolbox.search.savings import weigh_definitions
from toolbox.search.service import SearchService

FACTS_SECONDS = 10.0
"""How long facts are kept: several Prometheis, or one that asks each process, cost the database no more than one."""
WEIGHT_SECONDS = 300.0
"""The same of what takes PostgreSQL longer."""


class Facts:
    """What is looked up in the database."""

    def __init__(self, database: Database, queue: Queue, search: SearchService, model: Model | None) -> None:
        """`model` is the embedding model that is wanted."""
        self._database = database
        self._queue = queue
        self._search = search
        self._model = model
        self._facts = Kept(self._read, seconds=FACTS_SECONDS)
        self._weight = Kept(self._weigh, seconds=WEIGHT_SECONDS)

    async def get(self) -> list[Fact]:
        """All of them; while PostgreSQL does not answer, that alone."""
        return await self._facts.get()

    async def _read(self) -> list[Fact]:
        try:
            queue = await self._queue.status()
            counts, _ = await count_tools(self._database, self._search.model_name)
            waiting = await count_pending(self._database, self._model) if self._model else 0
            tokens = await self._weight.get()
        except DatabaseUnavailable:
            return [Fact("database_up", _UP, {"": 0})]
        jobs = {"waiting": queue.waiting, "running": queue.running, "failed": queue.failed}
        return [
            Fact("database_up", _UP, {"": 1}),
            Fact("queue_jobs", "Jobs in the background; no number goes above 10,000.", jobs),
            Fact("queue_oldest_seconds", "How long the oldest job has been waiting.", {"": queue.oldest_seconds}),
            Fact("tools", "Tools of the catalogue.", {"active": counts.active, "inactive": counts.inactive}),
            Fact("embeddings_waiting", "Active tools that the embedding model has yet to see.", {"": waiting}),
            Fact("catalogue_tokens", "What the definitions of all active tools would take.", {"": tokens}),
        ]

    async def _weigh(self) -> int:
        return await weigh_definitions(self._database)


_UP = "Whether PostgreSQL answers."


def create_metrics_router(get_facts: Callable[[], Facts], sample: Callable[[], None]) -> Router:
    """The route; `sample` sets the gauges of the process that is asked."""

    @get(
        "/metrics",
        scope="metrics:read",
        summary="Metrics for Prometheus",
        media_type="text/plain",
        responses={200: ResponseSpec(str, description="Prometheus' text format", media_type="text/plain")},
    )
    async def metrics() -> Response[bytes]:
        looked_up = await get_facts().get()
        sample()
        return Response(await asyncio.to_thread(show_metrics, looked_up), headers={"content-type": CONTENT_TYPE})

    return Router("/", route_handlers=[metrics], tags=["health"])
