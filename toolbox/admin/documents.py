"""Everything that operators look after as one document: read, and brought in within one transaction.

Values of secrets, of keys and of upstreams' variables are not in it: what needs one says so.
"""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct, structs

from toolbox.auth.callers import Caller
from toolbox.auth.schemas import Key, NewKey
from toolbox.auth.service import KeyService
from toolbox.database import Connection
from toolbox.definitions import Upstream
from toolbox.errors import InvalidDefinition, InvalidRequest, ToolboxError
from toolbox.tools.admin_schemas import ToolDraft
from toolbox.tools.managed import BROUGHT
from toolbox.tools.management import Draft, ToolManager
from toolbox.tools.policies import OnChange, Pattern, put_policies
from toolbox.toolsets.repository import lock_members
from toolbox.toolsets.schemas import ToolsetDefinition
from toolbox.toolsets.service import ToolsetService
from toolbox.upstreams.config import TRUSTED_ORIGINS
from toolbox.upstreams.service import UpstreamService

FORMAT = "toolbox-export/1"
MAX_SAID = 20
"""Problems that an error names."""


class ExportedUpstream(Struct, frozen=True):
    """An upstream; values that are not shown are `***` in its configuration."""

    origin: str
    config: Upstream


class ExportedTool(ToolDraft, frozen=True, kw_only=True):
    """A tool as `POST /admin/tools` takes it, and where it comes from."""

    source: str


class Document(Struct, frozen=True, kw_only=True):
    """What an export holds; an import takes any part of it."""

    format: str
    policies: dict[Pattern, OnChange] = {}
    toolsets: dict[str, ToolsetDefinition] = {}
    upstreams: list[ExportedUpstream] = []
    keys: list[Key] = []
    tools: list[Raw] = []


class Remark(Struct, frozen=True):
    """What was not brought in, or still needs something."""

    kind: Annotated[str, Meta(description="tool, upstream or key.")]
    name: str
    reason: str


class DocumentReport(Struct, frozen=True, kw_only=True):
    """What an import did, or would do."""

    is_dry_run: bool
    tools_added: list[str]
    tools_updated: list[str]
    tools_unchanged: int
    toolsets: Annotated[dict[str, str], Meta(description="created, changed or unchanged.")]
    upstreams: Annotated[dict[str, str], Meta(description="created, changed or unchanged.")]
    keys: Annotated[dict[str, str], Meta(description="created or unchanged.")]
    policies: int
    remarks: list[Remark]


Drafts: TypeAlias = dict[str, list[Draft]]
"""By source."""


class _OnlyLooked(Exception):
    """Nothing is kept of what was done."""


def _give_up_if(dry_run: bool) -> None:
    if dry_run:
        raise _OnlyLooked


def read_document(body: bytes) -> tuple[Document, Drafts]:
    """The document, and the drafts of its tools.

    Raises:
        InvalidRequest: It is no export, or of another format.
        InvalidDefinition: Tools in it cannot be read; says which, and why.
    """
    try:
        document = msgspec.json.decode(body, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"this is no export of ToolBox: {error}") from error
    if document.format != FORMAT:
        raise InvalidRequest(f"its format is {document.format[:50]!r}, and {FORMAT!r} is expected")
    drafts, problems, seen = Drafts(), list[str](), set[str]()
    for number, raw in enumerate(document.tools):
        try:
            tool = msgspec.json.decode(raw, type=ExportedTool)
        except (msgspec.DecodeError, RecursionError) as error:
            problems.append(f"tools[{number}]: {error}")
            continue
        if tool.name in seen:
            problems.append(f"tools[{number}]: {tool.name} is there twice")
        seen.add(tool.name)
        drafts.setdefault(tool.source, []).append(tool.to_draft())
    if problems:
        more = f"; and {len(problems) - MAX_SAID} more" if len(problems) > MAX_SAID else ""
        raise InvalidDefinition(f"nothing was imported: {'; '.join(problems[:MAX_SAID])}{more}")
    return document, drafts


class Importer:
    """Brings documents in: what is there by the same name is replaced, what no document names stays as it is."""

    def __init__(
        self, manager: ToolManager, toolsets: ToolsetService, upstreams: UpstreamService, keys: KeyService
    ) -> None:
        self._manager = manager
        self._toolsets = toolsets
        self._upstreams = upstreams
        self._keys = keys

    async def bring_in(self, document: Document, drafts: Drafts, caller: Caller, *, dry_run: bool) -> DocumentReport:
        """All of a document, or nothing of it if any part cannot be used; with `dry_run`, only say what that would do.

        Raises:
            InsufficientScope: It has upstreams or keys, which the caller may not manage.
            InvalidRequest, InvalidDefinition, Conflict: A part cannot be used.
        """
        if document.upstreams:
            caller.require("upstreams:write")
        if document.keys:
            caller.require("keys:write")
        report: DocumentReport | None = None
        try:
            async with self._manager.changing() as connection:
                report = await self._write(connection, document, drafts, caller, dry_run=dry_run)
                _give_up_if(dry_run)
        except _OnlyLooked:
            pass
        else:
            self._upstreams.expire()
        assert report is not None  # noqa: S101 - what fails raises
        return report

    async def _write(
        self, connection: Connection, document: Document, drafts: Drafts, caller: Caller, *, dry_run: bool
    ) -> DocumentReport:
        remarks = list[Remark]()
        await lock_members(connection)  # first, as everybody does who changes toolsets or tools
        await put_policies(connection, document.policies, caller.name)
        toolsets = await self._toolsets.apply_in(connection, document.toolsets, caller=caller.name)
        added, updated, unchanged = list[str](), list[str](), 0
        for source, of_source in sorted(drafts.items()):
            if source.startswith(BROUGHT):
                remarks += await self._switch(connection, of_source, source, caller)
                continue
            new, changed = await self._manager.write_in(connection, of_source, caller.name, source=source)
            added, updated = added + new, updated + changed
            unchanged += len(of_source) - len(new) - len(changed)
        upstreams = await self._put_upstreams(connection, document.upstreams, caller, remarks)
        keys = {key.name: await self._put_key(connection, key, caller, remarks) for key in document.keys}
        return DocumentReport(
            is_dry_run=dry_run,
            tools_added=added,
            tools_updated=updated,
            tools_unchanged=unchanged,
            toolsets=dict(toolsets),
            upstreams=upstreams,
            keys={name: done for name, done in keys.items() if done},
            policies=len(document.policies),
            remarks=remarks,
        )

    async def _switch(
        self, connection: Connection, drafts: Sequence[Draft], source: str, caller: Caller
    ) -> list[Remark]:
        """Of what a plugin or an upstream brings, only whether it is switched off."""
        left_out = list[Remark]()
        for draft in drafts:
            name = draft.definition.name
            if not await self._manager.switch_in(connection, name, source, caller.name, on=not draft.is_switched_off):
                left_out.append(Remark("tool", name, f"{source} brings it, and has not done so here yet"))
        return left_out

    async def _put_upstreams(
        self, connection: Connection, given: Sequence[ExportedUpstream], caller: Caller, remarks: list[Remark]
    ) -> dict[str, str]:
        done = dict[str, str]()
        for one in given:
            upstream = one.config
            if one.origin.startswith(TRUSTED_ORIGINS):
                remarks.append(Remark("upstream", upstream.name, f"it comes from {one.origin}: configure it there"))
                continue
            try:
                put = await self._upstreams.put_in(connection, [upstream], origin=one.origin, caller=caller.name)
                if missing := await self._upstreams.find_masked(connection, upstream.name):
                    off = structs.replace(upstream, enabled=False)
                    await self._upstreams.put_in(connection, [off], origin=one.origin, caller=caller.name)
                    said = f"it is disabled until it has values for {', '.join(missing)}, which no export holds"
                    remarks.append(Remark("upstream", upstream.name, said))
            except ToolboxError as error:
                raise InvalidRequest(f"nothing was imported: upstream {upstream.name!r}: {error.message}") from error
            done |= put
        return done

    async def _put_key(self, connection: Connection, key: Key, caller: Caller, remarks: list[Remark]) -> str | None:
        if key.revoked_at is not None:
            return None
        new = msgspec.convert(
            {
                "name": key.name,
                "scopes": key.scopes,
                "toolsets": key.toolsets,
                "expires_at": msgspec.to_builtins(key.expires_at),
            },
            NewKey,
        )
        if not await self._keys.restore_in(connection, new, caller):
            return "unchanged"
        remarks.append(Remark("key", key.name, "it lets nobody in until it is rotated, which gives it a secret"))
        return "created"
