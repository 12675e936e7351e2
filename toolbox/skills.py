"""Skills: folders of instructions that agents read when a task calls for them (agentskills.io), as plugins offer them.

A skill is a folder with a SKILL.md, whose head says what it is good for. Its files are read once, when the plugin is
loaded: so the digests that clients are told always belong to what they get. Clients that know nothing of skills see
resources (MCP, extension io.modelcontextprotocol/skills).
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from toolbox.definitions import ResourceContents
from toolbox.errors import InvalidDefinition
from toolbox.frontmatter import read_frontmatter
from toolbox.resources import Resource, as_resource, resource

SCHEME = "skill://"
SKILL_FILE = "SKILL.md"
MARKDOWN = "text/markdown"
CACHE_SECONDS = 300.0

MAX_FILES = 512
MAX_BYTES = 16 * 1024 * 1024
"""What every client must be able to take (section Limits of the extension)."""

_NAME = re.compile(r"(?!.*--)[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_MAX_DESCRIPTION = 1024


class SkillFile(Struct, frozen=True):
    """One file of a skill."""

    path: str
    """From the skill's folder on, with `/`."""
    uri: str
    content: bytes
    digest: str
    """What clients check the content against."""

    @property
    def mime_type(self) -> str:
        """By the file's name, and by whether it is text where the name says nothing."""
        known, encoding = guess_type(self.path)
        if known and not encoding:
            return known
        return "text/plain" if self._text is not None else "application/octet-stream"

    def read(self) -> str | bytes:
        """Its text, if it is text, or else its bytes."""
        return self.content if self._text is None else self._text

    @property
    def _text(self) -> str | None:
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return None


class Skill(Struct, frozen=True):
    """What clients see of a skill: its URI is that of its SKILL.md."""

    root: str
    frontmatter: dict[str, Any]
    files: tuple[SkillFile, ...]
    """All of them, in the order of their paths."""

    @property
    def uri(self) -> str:
        """Names the skill, and can be read."""
        return f"{self.root}/{SKILL_FILE}"

    @property
    def name(self) -> str:
        """As its author calls it."""
        return str(self.frontmatter["name"])

    @property
    def description(self) -> str:
        """What it does, and when an agent should use it."""
        return str(self.frontmatter["description"])

    def to_resources(self) -> list[Resource]:
        """Its SKILL.md, and a template that stands for its other files."""
        files = {file.path: file for file in self.files}

        @resource(
            self.uri,
            name=self.name,
            description=self.description,
            mime_type=MARKDOWN,
            size=len(files[SKILL_FILE].content),
            cache_seconds=CACHE_SECONDS,
        )
        async def read_skill_file() -> str | bytes:
            return files[SKILL_FILE].read()

        if len(files) == 1:
            return [as_resource(read_skill_file)]

        async def complete_path(typed: str, _given: dict[str, str]) -> list[str]:
            return [path for path in files if path.startswith(typed)]

        @resource(
            self.root + "/{+path}",
            name=f"{self.name} files",
            description=f"The files of the skill {self.name}.",
            cache_seconds=CACHE_SECONDS,
            complete={"path": complete_path},
        )
        async def read_file(path: str) -> ResourceContents | None:
            return _show(files[path]) if path in files else None

        return [as_resource(read_skill_file), as_resource(read_file)]


def read_skill(folder: Path, plugin_name: str) -> Skill:
    """Read a skill with all its files; the name of the plugin leads its URI.

    Raises:
        InvalidDefinition: It has no SKILL.md, its head lacks something or names another folder, or it is too large.
    """
    root = f"{SCHEME}{quote(plugin_name)}/{quote(folder.name)}"
    files = tuple(_read_files(folder, root))
    first = next((file for file in files if file.path == SKILL_FILE), None)
    if first is None:
        raise InvalidDefinition(f"{folder.name}: there is no {SKILL_FILE} in this folder")
    skill = Skill(root, read_frontmatter(first.content, f"{folder.name}/{SKILL_FILE}"), files)
    _check(skill, folder.name)
    return skill


def _read_files(folder: Path, root: str) -> Iterator[SkillFile]:
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    kept = sorted(path.as_posix() for path in paths if not _is_byproduct(path))
    if len(kept) > MAX_FILES:
        raise InvalidDefinition(f"{folder.name}: {len(kept)} files are too many; a skill has at most {MAX_FILES}")
    if sum((folder / path).stat().st_size for path in kept) > MAX_BYTES:
        raise InvalidDefinition(f"{folder.name}: it is too large; a skill has at most {MAX_BYTES:,} bytes")
    for path in kept:
        content = (folder / path).read_bytes()
        yield SkillFile(path, f"{root}/{quote(path)}", content, f"sha256:{sha256(content).hexdigest()}")


def _is_byproduct(path: Path) -> bool:
    """Whether a file is what systems leave behind: hidden, or compiled when the plugin was installed."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _check(skill: Skill, folder_name: str) -> None:
    name, description = skill.frontmatter.get("name"), skill.frontmatter.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidDefinition(f"{folder_name}: the name {name!r} must be 1 to 64 of a-z, 0-9 and single hyphens")
    if name != folder_name:
        raise InvalidDefinition(f"{folder_name}: the name is {name!r}, but it must be that of the folder")
    if not isinstance(description, str) or not 0 < len(description) <= _MAX_DESCRIPTION:
        raise InvalidDefinition(f"{folder_name}: it needs a description of at most {_MAX_DESCRIPTION} characters")


def _show(file: SkillFile) -> ResourceContents:
    content = file.read()
    if isinstance(content, str):
        return ResourceContents(file.uri, file.mime_type, text=content)
    return ResourceContents(file.uri, file.mime_type, blob=b64encode(content).decode())
