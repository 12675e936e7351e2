"""The audit log: who changed what, when, and what it was before. Written in the transaction of the change itself.

So there is no change without its entry, and no entry without its change. Secrets are taken out before anything is
kept. A change of thousands of things at once is one entry, which counts them and names the first ones (`name_some`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from toolbox.database import Connection, Database
from toolbox.definitions import Moment
from toolbox.redaction import Redactor
from toolbox.request_context import current_request_id

ITSELF = "toolbox"
"""The caller of what ToolBox does by itself, as syncing the plugins."""
MAX_NAMES = 100

_REDACTOR = Redactor()


class AuditEntry(Struct, frozen=True):
    """A change; `before` and `after` are anything that msgspec encodes, None where there is nothing.

    `action` is a verb in the past behind what it was done to: `tool.created`, `key.revoked`.
    """

    caller: str
    action: str
    subject_kind: str
    subject: str
    before: Any = None
    after: Any = None


class AuditedChange(Struct, frozen=True):
    """A change as the audit log has it."""

    id: int
    at: Moment
    caller: Annotated[str, Meta(description="Who did it; `toolbox` for what ToolBox does by itself.")]
    action: Annotated[str, Meta(examples=["tool.updated"])]
    subject_kind: Annotated[str, Meta(examples=["tool"])]
    subject: str
    before: Any
    after: Any
    request_id: Annotated[str | None, Meta(description="The request that did it, as its answer and the log name it.")]


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which entries are asked for; what is None does not restrict."""

    caller: str | None = None
    action: str | None = None
    subject_kind: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(connection: Connection, *entries: AuditEntry) -> None:
    """Write entries; they count when the transaction does."""
    await connection.executemany(
        """
        insert into audit (caller, action, subject_kind, subject, before, after, request_id)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        [
            (
                entry.caller,
                entry.action,
                entry.subject_kind,
                entry.subject,
                _keep(entry.before),
                _keep(entry.after),
                current_request_id(),
            )
            for entry in entries
        ],
    )


async def read_audit(
    database: Database, wanted: AuditFilter, *, limit: int, before_id: int | None = None
) -> list[AuditedChange]:
    """Entries, newest first; those that are older than `before_id`."""
    rows = await database.fetch(
        """
        select id, at, caller, action, subject_kind, subject, before, after, request_id from audit
        where ($2::bigint is null or id < $2)
          and ($3::text is null or caller = $3) and ($4::text is null or action = $4)
          and ($5::text is null or subject_kind = $5) and ($6::text is null or subject = $6)
          and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
        order by id desc limit $1
        """,
        limit,
        before_id,
        *(getattr(wanted, name) for name in AuditFilter.__struct_fields__),
    )
    return [AuditedChange(**row) for row in rows]


def name_some(names: Sequence[str]) -> Mapping[str, Any]:
    """How an entry speaks of many things: how many there are, and the first of them."""
    return {"count": len(names), "names": list(names[:MAX_NAMES])}


def _keep(value: Any) -> Any:
    """Plain JSON without secrets."""
    if value is None:
        return None
    plain = msgspec.json.decode(value) if isinstance(value, Raw) else msgspec.json.decode(msgspec.json.encode(value))
    return _REDACTOR.redact(plain, texts_only=True)
