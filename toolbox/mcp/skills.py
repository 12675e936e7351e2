"""Skills over MCP (extension io.modelcontextprotocol/skills, SEP-2640): listing them, and looking into their folders.

Their files are read as resources.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.mcp.envelopes import LIST_TTL_MS, Result, cacheable, complete, shared_by
from toolbox.mcp.messages import INVALID_PARAMS, ProtocolError, read_params
from toolbox.mcp.paging import find_page
from toolbox.mcp.peers import Peer
from toolbox.mcp.resources import ListParams, ReadResourceParams, ResourceShape
from toolbox.skills import SCHEME, Skill, SkillFile

SKILLS_EXTENSION = "io.modelcontextprotocol/skills"
DIRECTORY = "inode/directory"


class ReadDirectoryParams(ReadResourceParams, frozen=True):
    """What resources/directory/read takes."""

    cursor: str | None = None


class FileShape(Struct, frozen=True):
    """A file of a skill, with what its content is checked against."""

    uri: str
    digest: str
    size: int


class SkillShape(Struct, frozen=True):
    """A skill, with all its files."""

    uri: str
    frontmatter: dict[str, Any]
    resources: list[FileShape]


class ListSkillsResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What skills/list gives."""

    skills: list[SkillShape]
    next_cursor: str | UnsetType


class GetSkillResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What skills/get gives."""

    skill: SkillShape


class ReadDirectoryResult(Result, frozen=True, kw_only=True, rename="camel"):
    """What resources/directory/read gives."""

    resources: list[ResourceShape]
    next_cursor: str | UnsetType


class Skills:
    """Lists the skills that there are at the moment of each request."""

    def __init__(self, offered: Mapping[str, Skill]) -> None:
        self._offered = offered

    def __bool__(self) -> bool:
        return bool(self._offered)

    async def list_skills(self, params: Raw, peer: Peer, _caller: str) -> ListSkillsResult:
        """skills/list.

        Raises:
            InvalidRequest: The cursor is none of ours.
        """
        uris = sorted(self._offered)
        page = find_page(uris, read_params(params, ListParams, "skills/list").cursor)
        return ListSkillsResult(
            skills=[_shape(self._offered[uri]) for uri in uris[page.start : page.end]],
            next_cursor=page.next_cursor,
            **cacheable(peer.version, ttl_ms=LIST_TTL_MS, cache_scope=shared_by(peer.caller)),
        )

    async def get(self, params: Raw, peer: Peer, _caller: str) -> GetSkillResult:
        """skills/get.

        Raises:
            ProtocolError: No skill has this URI.
        """
        uri = read_params(params, ReadResourceParams, "skills/get").uri
        skill = self._offered.get(uri)
        if skill is None:
            raise ProtocolError(INVALID_PARAMS, f"there is no skill {uri[:200]!r}; skills/list names all")
        return GetSkillResult(
            skill=_shape(skill),
            **cacheable(peer.version, ttl_ms=LIST_TTL_MS, cache_scope=shared_by(peer.caller)),
        )

    async def read_directory(self, params: Raw, peer: Peer, _caller: str) -> ReadDirectoryResult:
        """resources/directory/read.

        Raises:
            ProtocolError: This URI is no folder of a skill.
            InvalidRequest: The cursor is none of ours.
        """
        wanted = read_params(params, ReadDirectoryParams, "resources/directory/read")
        found = [child for skill in self._offered.values() for child in _find_children(skill, wanted.uri)]
        if not found:
            raise ProtocolError(INVALID_PARAMS, f"there is no folder {wanted.uri[:200]!r}", data={"uri": wanted.uri})
        children = {str(child.uri): child for child in found}
        uris = sorted(children)
        page = find_page(uris, wanted.cursor)
        return ReadDirectoryResult(
            resources=[children[uri] for uri in uris[page.start : page.end]],
            next_cursor=page.next_cursor,
            **complete(peer.version),
        )


def _shape(skill: Skill) -> SkillShape:
    files = [FileShape(file.uri, file.digest, len(file.content)) for file in skill.files]
    return SkillShape(skill.uri, skill.frontmatter, files)


def _find_children(skill: Skill, folder: str) -> Iterator[ResourceShape]:
    """What lies directly in a folder, which may be one above the skill's own."""
    if not folder.startswith(SCHEME) or folder.endswith("/"):
        return
    beginning = folder + "/"
    for file in skill.files:
        if not file.uri.startswith(beginning):
            continue
        name, slash, _ = file.uri.removeprefix(beginning).partition("/")
        if slash:
            yield ResourceShape(uri=beginning + name, name=unquote(name), mime_type=DIRECTORY)
        else:
            yield _show_file(skill, file)


def _show_file(skill: Skill, file: SkillFile) -> ResourceShape:
    is_first = file.uri == skill.uri
    return ResourceShape(
        uri=file.uri,
        name=skill.name if is_first else file.path.rpartition("/")[2],
        description=skill.description if is_first else UNSET,
        mime_type=file.mime_type,
        size=len(file.content),
    )
