"""Health: is the process alive, should it get requests, and how is each part."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

Status = Literal["ok", "degraded", "down", "off"]


class Check(Struct, frozen=True, omit_defaults=True):
    """How one part is: degraded means that ToolBox works without it, down means that it does not."""

    status: Status
    detail: str = ""


class Health(Struct, frozen=True):
    """How ToolBox is."""

    status: Literal["ok", "degraded", "down", "starting"]
    version: str


class DetailedHealth(Struct, frozen=True):
    """How ToolBox is, part by part."""

    status: Literal["ok", "degraded", "down", "starting"]
    version: str
    checks: dict[str, Check]


Checks = Mapping[str, Callable[[], Awaitable[Check]]]


def create_health_router(checks: Checks, is_ready: Callable[[], bool], version: str) -> Router:
    """Routes over these checks; `is_ready` says whether the start is over."""

    async def examine() -> DetailedHealth:
        results = {name: await check() for name, check in checks.items()}
        return DetailedHealth(_summarize(results, is_ready()), version, results)

    async def summary() -> Response[Any]:
        health = await examine()
        return _answer(Health(health.status, health.version))

    @get("/health", responses=_responses(Health), summary="How ToolBox is", scope="public")
    async def health() -> Response[Any]:
        return await summary()

    @get(["/health/live", "/live"], summary="Whether the process is alive", scope="public")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @get(
        ["/health/ready", "/ready"],
        responses=_responses(Health),
        summary="Whether to send requests here",
        scope="public",
    )
    async def ready() -> Response[Any]:
        return await summary()

    @get("/health/detailed", responses=_responses(DetailedHealth), summary="How each part is", scope="metrics:read")
    async def detailed() -> Response[Any]:
        return _answer(await examine())

    return Router("/", route_handlers=[health, live, ready, detailed], tags=["health"])


def _summarize(results: Mapping[str, Check], is_ready: bool) -> Literal["ok", "degraded", "down", "starting"]:
    states = {check.status for check in results.values()}
    if "down" in states:
        return "down"
    if not is_ready:
        return "starting"
    return "degraded" if "degraded" in states else "ok"


def _answer(health: Health | DetailedHealth) -> Response[Any]:
    return Response(health, status_code=200 if health.status in {"ok", "degraded"} else 503)


def _responses(body: type[Struct]) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(body, description="Ready; degraded parts are worked without"),
        503: ResponseSpec(body, description="Not ready"),
    }
