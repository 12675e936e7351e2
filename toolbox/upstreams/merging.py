"""Equal tools of several upstreams as one, whose argument says on which of them it runs.

Ten clusters with the same server are ten times the same tools, which fill an agent's list and answer a search with ten
equal matches. Upstreams that name the same group (`merge`) have those of their tools offered once that are equal: same
name, description, schemas and everything else that their servers say. What differs stays a tool of its own, and so does
a tool that waits for approval or is switched off. Members stay in the catalogue, out of sight (`active` is false, while
they are offered), so that nothing is lost when the group is dissolved.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from toolbox.database import SYNC_LOCK, Connection, Database
from toolbox.definitions import ToolDefinition, shorten_name, unique_name
from toolbox.events import notify
from toolbox.tools.kinds import fingerprint
from toolbox.tools.repository import set_active, write_tools
from toolbox.upstreams.tool import MergedImplementation

MERGED_SOURCE = "upstreams:"
"""How the sources of merged tools begin; the group's name follows."""


class _Member(Struct, frozen=True):
    """A tool of an upstream in the group."""

    id: int
    upstream: str
    tool: str
    active: bool
    definition: ToolDefinition


class Merged(Struct, frozen=True):
    """A tool that stands for several."""

    definition: ToolDefinition
    implementation: dict[str, Any]
    members: tuple[int, ...]


async def merge_groups(database: Database, groups: Iterable[str | None]) -> bool:
    """Bring the merged tools of some groups to what their upstreams offer; gives back whether something changed."""
    wanted = sorted({group for group in groups if group})
    if not wanted:
        return False
    async with database.lock(SYNC_LOCK), database.transaction() as connection:
        return any([await merge_tools(connection, group) for group in wanted])


async def merge_tools(connection: Connection, group: str) -> bool:
    """The same for one group, in a transaction that holds SYNC_LOCK."""
    source = MERGED_SOURCE + group
    members = await _read_members(connection, group)
    there = await connection.fetch(
        "select id, name, fingerprint, implementation, is_offered from tools where source = $1 order by id", source
    )
    names = {_original(row["implementation"]): row["name"] for row in there}
    taken = await connection.fetch(
        "select name from tools where starts_with(name, $1) and source <> $2", shorten_name(f"{group}__"), source
    )
    merged = merge(group, members, names=names, taken={row["name"] for row in taken})
    known = {row["name"]: row["fingerprint"] for row in there}
    changed = [
        each for each in merged if known.get(each.definition.name) != fingerprint(each.definition, each.implementation)
    ]
    await write_tools(
        connection,
        [each.definition for each in changed],
        source=source,
        source_version="",
        implementations={each.definition.name: each.implementation for each in changed},
    )
    wanted, hidden = {each.definition.name for each in merged}, {id_ for each in merged for id_ in each.members}
    written = {each.definition.name for each in changed}
    shown = [row["id"] for row in there if row["name"] in wanted - written and not row["is_offered"]]
    gone = [row["id"] for row in there if row["name"] not in wanted and row["is_offered"]]
    await set_active(connection, shown, active=True)
    await set_active(connection, gone, active=False)
    turned = [member.id for member in members if member.active is (member.id in hidden)]
    if turned:
        await connection.execute("update tools set active = not active, updated_at = now() where id = any($1)", turned)
        await notify(connection, "tools")
    return bool(changed or shown or gone or turned)


def merge(group: str, members: Iterable[_Member], *, names: Mapping[str, str], taken: set[str]) -> list[Merged]:
    """What can be one tool of what upstreams offer; `names` are those that such tools have already, by the server's."""
    equal = defaultdict[bytes, list[_Member]](list)
    for member in members:
        equal[_plain(member).fingerprint()].append(member)
    found, used = list[Merged](), set(taken)
    for several in sorted(equal.values(), key=lambda several: (-len(several), several[0].tool)):
        if len({member.upstream for member in several}) < 2:
            continue
        tool = several[0].tool
        name = names.get(tool, shorten_name(f"{group}__{tool}"))
        name = unique_name(name, used)
        used.add(name)
        upstreams = tuple(sorted(member.upstream for member in several))
        definition, selector = _add_selector(_plain(several[0]), upstreams)
        implementation = MergedImplementation(tool=tool, upstreams=upstreams, selector=selector)
        found.append(
            Merged(
                structs.replace(
                    definition, name=name, category=group, metadata=definition.metadata | {"upstreams": upstreams}
                ),
                msgspec.to_builtins(implementation),
                tuple(member.id for member in several),
            )
        )
    return found


def _plain(member: _Member) -> ToolDefinition:
    """A definition without what tells one upstream's from another's."""
    metadata = {name: value for name, value in member.definition.metadata.items() if name != "upstream"}
    return structs.replace(member.definition, name=member.tool, category=None, timeout_seconds=None, metadata=metadata)


def _add_selector(definition: ToolDefinition, upstreams: tuple[str, ...]) -> tuple[ToolDefinition, str]:
    """The same with an argument more, which says on which upstream it runs, and what that is called."""
    schema = definition.input_schema
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    selector = unique_name("upstream", properties)
    described = {"type": "string", "enum": list(upstreams), "description": "On which of them it runs."}
    required = schema.get("required")
    more = {
        "properties": {selector: described, **properties},
        "required": [selector, *(required if isinstance(required, list) else ())],
    }
    text = f"{definition.description}\n\nRuns on one of: {', '.join(upstreams)}.".strip()
    return structs.replace(definition, input_schema=schema | more, description=text), selector


def _original(implementation: str | None) -> str:
    return "" if implementation is None else str(msgspec.json.decode(implementation).get("tool", ""))


async def _read_members(connection: Connection, group: str) -> list[_Member]:
    """The tools that the upstreams of a group offer, as they are in force."""
    rows = await connection.fetch(
        """
        select distinct on (t.id) t.id, u.name as upstream, t.implementation->>'tool' as tool, t.active, v.definition
        from upstreams u join tools t on t.source = 'upstream:' || u.name
        join tool_versions v on v.tool_id = t.id and v.fingerprint = t.fingerprint
        where u.enabled and u.config->>'merge' = $1 and t.is_offered and not t.is_switched_off and not t.is_held
        and t.implementation->>'tool' is not null
        order by t.id, v.number desc
        """,
        group,
    )
    return [
        _Member(
            row["id"],
            row["upstream"],
            row["tool"],
            row["active"],
            msgspec.json.decode(row["definition"], type=ToolDefinition),
        )
        for row in rows
    ]
