"""REST for operators: the audit log."""

from typing import Annotated

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from msgspec import structs

from toolbox.audit import AuditedChange, AuditFilter, read_audit
from toolbox.cursors import read_cursor, write_cursor
from toolbox.database import Database
from toolbox.paging import PageLimit, QueryMoment, QueryText, link_to_next
from toolbox.problems import problem_responses


@get(
    "/admin/audit",
    scope="tools:write",
    summary="Read the audit log",
    responses={
        200: ResponseSpec(list[AuditedChange], description="A page of changes, newest first"),
        **problem_responses(400, 503),
    },
)
async def list_changes(
    database: NamedDependency[Database],
    changed_by: Annotated[str | None, QueryParameter(name="caller", max_length=1000)] = None,
    action: QueryText = None,
    subject_kind: QueryText = None,
    subject: QueryText = None,
    since: QueryMoment = None,
    until: QueryMoment = None,
    limit: PageLimit = 100,
    cursor: QueryText = None,
) -> Response[bytes]:
    """Who changed what, when, and what it was before: newest first, with where the next page is in `Link`."""
    wanted = AuditFilter(
        caller=changed_by, action=action, subject_kind=subject_kind, subject=subject, since=since, until=until
    )
    before_id = read_cursor(cursor, int) if cursor else None
    found = await read_audit(database, wanted, limit=limit + 1, before_id=before_id)
    headers = {}
    if len(found) > limit:
        found = found[:limit]
        given = structs.asdict(wanted) | {"limit": limit, "cursor": write_cursor(found[-1].id)}
        headers["Link"] = link_to_next("/admin/audit", given)
    return Response(msgspec.json.encode(found), media_type="application/json", headers=headers)


router = Router("/", route_handlers=[list_changes], tags=["admin"])
