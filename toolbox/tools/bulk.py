"""Tools in bulk: JSON lines of whole tools, which an export writes and an import reads, all of them or none."""

from collections.abc import AsyncIterator

import msgspec

from toolbox.errors import InvalidDefinition, TooLarge
from toolbox.plain_words import explain
from toolbox.tools.admin_schemas import ToolDraft
from toolbox.tools.managed import ManagedTool
from toolbox.tools.management import Draft, ToolManager

MAX_SAID = 20
"""Lines that an error names."""


def read_drafts(body: bytes, *, max_tool_bytes: int) -> list[Draft]:
    """The tools of JSON lines; blank lines are fine.

    Raises:
        InvalidDefinition: Lines cannot be read, or one name is there twice; says which lines, and why.
        TooLarge: A line is longer than MAX_TOOL_REGISTRATION_SIZE.
    """
    drafts, problems, lines_by_name = list[Draft](), list[str](), dict[str, int]()
    for number, line in enumerate(body.splitlines(), 1):
        if not line.strip():
            continue
        if len(line) > max_tool_bytes:
            raise TooLarge(
                f"line {number} has {len(line):,} bytes, and MAX_TOOL_REGISTRATION_SIZE allows {max_tool_bytes:,}"
            )
        try:
            draft = msgspec.json.decode(line, type=ToolDraft).to_draft()
        except msgspec.ValidationError as error:
            problems.append(f"line {number}: {explain(error, ToolDraft)}")
            continue
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problems.append(f"line {number}: {error}")
            continue
        name = draft.definition.name
        if name in lines_by_name:
            problems.append(f"line {number}: {name} is in line {lines_by_name[name]} already")
        lines_by_name[name] = number
        drafts.append(draft)
    if problems:
        more = f"; and {len(problems) - MAX_SAID} more" if len(problems) > MAX_SAID else ""
        raise InvalidDefinition(f"nothing was imported: {'; '.join(problems[:MAX_SAID])}{more}")
    return drafts


async def export_lines(manager: ToolManager, source: str | None) -> AsyncIterator[ManagedTool]:
    """All tools, or those of a source, page by page in the order of their ids."""
    after = 0
    while page := await manager.read_page(after, source):
        for managed in page:
            yield managed
        after = page[-1].tool.id
