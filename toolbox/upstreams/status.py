"""How an upstream is in this process, for whoever looks after it."""

from typing import Literal, TypeAlias

from msgspec import Struct

from toolbox.definitions import Moment

State: TypeAlias = Literal["disabled", "stopped", "starting", "running", "waiting", "failed"]


class Counts(Struct):
    """What happened to an upstream in this process."""

    calls: int = 0
    errors: int = 0
    starts: int = 0
    failures: int = 0
    seconds: float = 0.0


class Status(Struct, frozen=True, kw_only=True):
    """How an upstream is in this process."""

    state: State
    problem: str | None
    """Why it is not running, or not the version that was asked for, or its breaker is open."""
    sessions: int
    processes: list[int]
    calls: int
    errors: int
    starts: int
    failures: int
    mean_ms: float | None
    is_breaker_open: bool
    retry_at: Moment | None
    version: str | None = None
    """The commit or version of its source that runs here, if ToolBox has installed it."""
