"""Health: is the process alive, should it get requests, and how is each part."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

Status = Literal["ok", "degraded", "down", "off"]
Phase = Literal["starting", "serving", "stopping"]
"""Of the life of a process; it wants requests while it is serving."""
State = Literal["ok", "degraded", "down", "starting", "stopping"]


class Check(Struct, frozen=True, omit_defaults=True):
    """How one part is: degraded means that ToolBox works without it, down means that it does not."""

    status: Status
    detail: str = ""
    figures: Mapping[str, float] = {}


class Health(Struct, frozen=True):
    """How ToolBox is."""

    status: State
    version: str


class DetailedHealth(Struct, frozen=True):
    """How ToolBox is, part by part."""

    status: State
    version: str
    checks: dict[str, Check]


Checks = Mapping[str, Callable[[], Awaitable[Check]]]


def create_health_router(checks: Checks, essential: Checks, get_phase: Callable[[], Phase], version: str) -> Router:
    """Routes over these checks; readiness needs the essential ones only, and is asked for every few seconds."""

    async def summarize(examined: Checks) -> tuple[State, dict[str, Check]]:
        phase = get_phase()
        if phase == "stopping":  # at once, whatever else there is
            return phase, {}
        results = {name: await check() for name, check in examined.items()}
        return _summarize(results, phase), results

    @get("/health", responses=_responses(Health), summary="How ToolBox is", scope="public")
    async def health() -> Response[Any]:
        return _answer(Health((await summarize(checks))[0], version))

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
        return _answer(Health((await summarize(essential))[0], version))

    @get("/health/detailed", responses=_responses(DetailedHealth), summary="How each part is", scope="metrics:read")
    async def detailed() -> Response[Any]:
        state, results = await summarize(checks)
        return _answer(DetailedHealth(state, version, results))

    return Router("/", route_handlers=[health, live, ready, detailed], tags=["health"])


def _summarize(results: Mapping[str, Check], phase: Phase) -> State:
    states = {check.status for check in results.values()}
    if "down" in states:
        return "down"
    if phase != "serving":
        return phase
    return "degraded" if "degraded" in states else "ok"


def _answer(health: Health | DetailedHealth) -> Response[Any]:
    return Response(health, status_code=200 if health.status in {"ok", "degraded"} else 503)


def _responses(body: type[Struct]) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(body, description="Ready; degraded parts are worked without"),
        503: ResponseSpec(body, description="Not ready"),
    }
