"""Importing an OpenAPI document: its operations become tools, and importing it again brings them up to date."""

from msgspec import Struct

from toolbox.database import Database
from toolbox.definitions import ANONYMOUS
from toolbox.errors import InvalidDefinition
from toolbox.tools.kinds import Kinds
from toolbox.tools.openapi import OpenApiTool, SkippedOperation, read_openapi
from toolbox.tools.openapi_documents import parse_document
from toolbox.tools.repository import ToolRepository
from toolbox.tools.sync import import_tools

OPENAPI_SOURCE = "openapi:"


class OpenApiReport(Struct, frozen=True):
    """What an import did."""

    source: str
    added: tuple[str, ...]
    updated: tuple[str, ...]
    hidden: tuple[str, ...]
    """Tools whose operations are gone."""
    unchanged: int
    skipped: tuple[SkippedOperation, ...]
    secrets: tuple[str, ...]
    """The names of the secrets that the tools refer to."""


async def import_openapi(
    database: Database,
    kinds: Kinds,
    content: bytes,
    *,
    source: str,
    base_url: str | None = None,
    server: str | None = None,
    caller: str = ANONYMOUS,
) -> OpenApiReport:
    """Write the tools of a document, in one transaction; those that have not changed are left alone.

    An operation that is gone is hidden; one that cannot be a tool any more stays as it was.

    Raises:
        InvalidDefinition: It is no OpenAPI document.
    """
    label, repository = OPENAPI_SOURCE + source, ToolRepository(database)
    names_by_id = await repository.read_imported_names(label)
    found = read_openapi(
        parse_document(content),
        source=source,
        base_url=base_url,
        server=server,
        taken=await repository.read_names(),
        names_by_id=names_by_id,
    )
    good, skipped = list[OpenApiTool](), list(found.skipped)
    for tool in found.tools:
        try:
            kinds.check_implementation(tool.definition, tool.implementation)
            good.append(tool)
        except InvalidDefinition as error:
            skipped.append(SkippedOperation(tool.id, error.message))
    report = await import_tools(
        database,
        [tool.definition for tool in good],
        source=label,
        caller=caller,
        implementations={tool.definition.name: tool.implementation for tool in good},
        keep=[names_by_id[operation.id] for operation in skipped if operation.id in names_by_id],
    )
    return OpenApiReport(
        label, report.added, report.updated, report.hidden, report.unchanged, tuple(skipped), found.secrets
    )
