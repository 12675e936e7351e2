"""The shapes of upstreams on the wire."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from toolbox.definitions import Moment
from toolbox.tools.admin_schemas import WaitingVersion
from toolbox.upstreams.discovery import LeftOut
from toolbox.upstreams.logs import LogLine
from toolbox.upstreams.masking import mask
from toolbox.upstreams.repository import StoredUpstream
from toolbox.upstreams.sdk import ServerInfo
from toolbox.upstreams.status import Status


class UpstreamSummary(Struct, frozen=True, kw_only=True):
    """An upstream in a list."""

    name: str
    title: str | None
    transport: str
    enabled: bool
    origin: Annotated[str, Meta(description="Who configured it: settings, plugin:NAME, import, api.")]
    tools: int
    pending: int
    problem: Annotated[str | None, Meta(description="Why its lists could not be read, or why it does not run here.")]
    read_at: Annotated[Moment | None, Meta(description="When its lists were last read.")]
    here: Annotated[Status | None, Meta(description="How it is in the process that answers.")]


class UpstreamDetail(UpstreamSummary, frozen=True, kw_only=True):
    """Everything about an upstream, without the values of its variables and headers."""

    config: dict[str, Any]
    server: ServerInfo | None
    left_out: list[LeftOut]
    changes: Annotated[list[WaitingVersion], Meta(description="What waits for approval.")]
    resources: int
    prompts: int
    created_at: Moment
    updated_at: Moment


class ImportedUpstreams(Struct, frozen=True):
    """What came of a file of upstreams."""

    upstreams: dict[str, str]
    rejected: dict[str, str]


class ApproveRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tools to take over; none given means all that wait."""

    tools: Annotated[list[str], Meta(max_length=1000)] | None = None


class Approved(Struct, frozen=True):
    """The tools that were taken over."""

    tools: list[str]


class UpstreamLogs(Struct, frozen=True):
    """The last lines, oldest first."""

    lines: list[LogLine]


def to_summary(stored: StoredUpstream, status: Status | None) -> UpstreamSummary:
    """An upstream in a list."""
    return UpstreamSummary(**_common(stored, status))


def to_detail(stored: StoredUpstream, status: Status | None, changes: list[WaitingVersion]) -> UpstreamDetail:
    """Everything about an upstream."""
    return UpstreamDetail(
        **_common(stored, status),
        config=mask(stored.upstream),
        server=stored.server,
        left_out=stored.left_out,
        changes=changes,
        resources=len(stored.offers.resources) + len(stored.offers.templates),
        prompts=len(stored.offers.prompts),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _common(stored: StoredUpstream, status: Status | None) -> dict[str, Any]:
    upstream = stored.upstream
    return {
        "name": upstream.name,
        "title": upstream.title,
        "transport": upstream.transport,
        "enabled": upstream.enabled,
        "origin": stored.origin,
        "tools": stored.tools,
        "pending": stored.pending,
        "problem": stored.problem or (status.problem if status else None),
        "read_at": stored.read_at,
        "here": status,
    }
