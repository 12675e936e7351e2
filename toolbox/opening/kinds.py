"""The kinds of tools that can be stored, each loaded when the first tool of it is."""

import contextlib
import os
from collections.abc import AsyncIterator

from toolbox.addresses import AddressPolicy
from toolbox.audit import AuditEntry, record
from toolbox.database import Database
from toolbox.secrets.store import SecretStore
from toolbox.settings import Settings
from toolbox.tools.base import ToolContext
from toolbox.tools.composed import ComposedKind
from toolbox.tools.kinds import Kind, Kinds, LazyKind
from toolbox.tools.processes import Workshop
from toolbox.upstreams.service import UpstreamService
from toolbox.upstreams.tool import KIND as UPSTREAM
from toolbox.upstreams.tool import MERGED, MergedKind, UpstreamKind


@contextlib.asynccontextmanager
async def open_kinds(
    settings: Settings, database: Database, secrets: SecretStore, upstreams: UpstreamService
) -> AsyncIterator[Kinds]:
    """The kinds of tools that can be stored, and run on every replica."""
    policy = AddressPolicy(settings.allowed_private_networks)
    async with contextlib.AsyncExitStack() as stack:

        def make_http() -> Kind:
            from toolbox.outbound import Outbound
            from toolbox.tools.http import HttpKind

            outbound = Outbound(policy)
            stack.push_async_callback(outbound.close)
            return HttpKind(outbound, secrets)

        def make_command() -> Kind:
            from toolbox.tools.command import CommandKind

            allowed = settings.allow_custom_commands
            return CommandKind(workshop, secrets, allowed=allowed, path=os.environ.get("PATH", os.defpath))

        def make_python() -> Kind:
            from toolbox.tools.python import PythonKind

            return PythonKind(
                is_enabled=settings.python_executor_enabled,
                allowed=settings.python_executor_allowed_modules,
                audit=audit,
                workshop=workshop,
                path=os.environ.get("PATH", os.defpath),
            )

        async def audit(context: ToolContext, function: str) -> None:
            entry = AuditEntry(
                context.caller,
                "python.executed",
                "tool",
                context.tool_name,
                after={"function": function, "execution_id": context.execution_id},
            )
            async with database.connection() as connection:
                await record(connection, entry)

        workshop = Workshop()
        stack.callback(workshop.close)
        yield Kinds(
            {
                "command": LazyKind(make_command),
                "composed": ComposedKind(),
                "http": LazyKind(make_http),
                "python": LazyKind(make_python),
                UPSTREAM: UpstreamKind(upstreams.ask),
                MERGED: MergedKind(upstreams.ask),
            }
        )
