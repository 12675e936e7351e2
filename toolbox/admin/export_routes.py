"""REST for operators: everything that they look after as one JSON document, without a secret."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from toolbox.auth.callers import Caller
from toolbox.auth.service import KeyService
from toolbox.database import Database
from toolbox.problems import problem_responses
from toolbox.tools.admin_schemas import to_line
from toolbox.tools.bulk import export_lines
from toolbox.tools.management import ToolManager
from toolbox.tools.policies import read_policies
from toolbox.toolsets.service import ToolsetService
from toolbox.upstreams.schemas import to_detail
from toolbox.upstreams.service import UpstreamService
from toolbox.version import VERSION

FORMAT = "toolbox-export/1"


@get(
    "/admin/export",
    summary="Export everything",
    responses={
        200: ResponseSpec(
            dict[str, Any],
            generate_examples=False,
            media_type="application/json",
            description="One document, tools last",
        ),
        **problem_responses(503),
    },
    scope="tools:write",
)
async def export_all(
    database: NamedDependency[Database],
    manager: NamedDependency[ToolManager],
    toolsets: NamedDependency[ToolsetService],
    upstreams: NamedDependency[UpstreamService],
    keys: NamedDependency[KeyService],
    caller: NamedDependency[Caller],
) -> Stream:
    """Tools with how they are run, toolsets, policies; upstreams and keys' metadata for callers who may manage these.

    Values of secrets, keys and upstreams' variables are not in it. To bring a whole ToolBox back, use `toolbox backup`.
    """
    head: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": datetime.now(UTC),
        "policies": (await read_policies(database)).by_source,
        "toolsets": {one.name: one.definition for one in await toolsets.repository.list_toolsets()},
    }
    if "upstreams:write" in caller.scopes:
        stored = await upstreams.repository.read_all()
        head["upstreams"] = [to_detail(one, None, []) for one in stored.values()]
    if "keys:write" in caller.scopes:
        head["keys"] = await _read_keys(keys)

    async def document() -> AsyncIterator[bytes]:
        yield msgspec.json.encode(head)[:-1] + b',"tools":['
        separator = b""
        async for managed in export_lines(manager, None):
            yield separator + msgspec.json.encode(to_line(managed) | {"source": managed.tool.source})
            separator = b","
        yield b"]}"

    return Stream(document(), media_type="application/json")


async def _read_keys(keys: KeyService) -> list[Any]:
    found = list[Any]()
    while page := await keys.repository.list_keys(after=found[-1].name if found else ""):
        found += page
    return found


router = Router("/", route_handlers=[export_all], tags=["admin"])
