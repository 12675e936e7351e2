"""REST for operators: how much is logged, while everything runs."""

from typing import Annotated

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from toolbox.database import Database
from toolbox.events import notify
from toolbox.logs import Level, get_level, set_level
from toolbox.problems import problem_responses


class LogLevel(Struct, frozen=True, forbid_unknown_fields=True):
    """The least severe level of lines that are written."""

    level: Annotated[Level, Meta(description="Of this process; LOG_LEVEL is what each one starts with.")]


@get("/admin/log-level", scope="tools:write", summary="How much is logged")
async def read_log_level() -> LogLevel:
    """The level of the process that answers."""
    return LogLevel(get_level())


@put("/admin/log-level", scope="tools:write", summary="Log more, or less", responses=problem_responses(400, 413, 503))
async def change_log_level(data: JSONBody[LogLevel], database: NamedDependency[Database]) -> LogLevel:
    """Change the level of all servers and workers at once; a process that starts later begins with LOG_LEVEL."""
    await notify(database, "logs", data.level)
    set_level(data.level)
    return LogLevel(get_level())


router = Router("/", route_handlers=[read_log_level, change_log_level], tags=["admin"])
