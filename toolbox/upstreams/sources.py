"""Where the program of an upstream comes from, if ToolBox installs it: a git repository, or a package. Pure module.

    git+https://host/path[@ref][#subdirectory=folder]    also git+ssh://[user@]host/path
    pypi:name[==version]
    npm:name[@version]

What is read here travels as arguments of git, uv, pip and npm, so nothing of it can be taken for an option, and nothing
names a place outside of the repository. Without a ref or a version it is the newest at the time of the installation.
"""

import hashlib
import re
from typing import Literal, TypeAlias

from msgspec import Struct

from toolbox.errors import InvalidRequest

NPM_NAME = re.compile(r"(@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*")
PYPI_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")

_GIT = re.compile(
    r"git\+(?P<url>(?P<scheme>https|ssh|http)://(?:(?P<user>[A-Za-z0-9][A-Za-z0-9._-]*)@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)(?::[0-9]{1,5})?(?P<path>(?:/[A-Za-z0-9._~+-]+)+)/?)"
    r"(?:@(?P<ref>[^#]+))?(?:#subdirectory=(?P<folder>.+))?"
)
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*")
_FOLDER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_. -]*(/[A-Za-z0-9_.][A-Za-z0-9_. -]*)*")
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost"})

MAX_CHARACTERS = 500


class GitSource(Struct, frozen=True):
    """A repository, the branch, tag or commit of it, and the folder in it that holds the server."""

    url: str
    ref: str | None = None
    folder: str | None = None
    kind: Literal["git"] = "git"

    @property
    def is_local(self) -> bool:
        """Whether it is fetched without encryption, which only this machine's own are."""
        return self.url.startswith("http://")

    @property
    def is_ssh(self) -> bool:
        """Whether it is fetched by ssh."""
        return self.url.startswith("ssh://")


class PackageSource(Struct, frozen=True):
    """A package of an index, and which version of it."""

    kind: Literal["pypi", "npm"]
    name: str
    version: str | None = None


Source: TypeAlias = GitSource | PackageSource


def read_source(text: str) -> Source:
    """Read a source.

    Raises:
        InvalidRequest: It is none, or names something that is not fetched.
    """
    kind, _, rest = text.partition(":")
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"a source has at most {MAX_CHARACTERS} characters")
    if kind == "pypi":
        name, _, version = rest.partition("==")
        return PackageSource(
            "pypi", _check(PYPI_NAME, name, "name of a package"), _check_optional(VERSION, version, "version")
        )
    if kind == "npm":
        name, _, version = rest[1:].partition("@")
        name = rest[:1] + name
        return PackageSource(
            "npm", _check(NPM_NAME, name, "name of a package"), _check_optional(VERSION, version, "version")
        )
    match = _GIT.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"the source {text[:200]!r} is none of git+https://HOST/PATH[@REF], git+ssh://..., "
            "pypi:NAME[==VERSION] and npm:NAME[@VERSION]"
        )
    return _read_git(match)


def source_digest(text: str) -> str:
    """12 characters that are the same for the same source."""
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _read_git(match: re.Match[str]) -> GitSource:
    if match["scheme"] == "http" and match["host"] not in _THIS_MACHINE:
        raise InvalidRequest("a repository is fetched by https or ssh; by http from this machine only")
    if match["user"] and match["scheme"] != "ssh":
        raise InvalidRequest("a user is no part of an https address: it would be stored and shown")
    if any(part in {".", ".."} for part in match["path"].split("/")):
        raise InvalidRequest("the path of a repository has no `.` or `..`")
    ref, folder = match["ref"], match["folder"]
    if ref is not None and (not _REF.fullmatch(ref) or ".." in ref or ref.endswith((".lock", "."))):
        raise InvalidRequest(f"{ref[:100]!r} is no branch, tag or commit")
    if folder is not None and (not _FOLDER.fullmatch(folder) or any(part in {".", ".."} for part in folder.split("/"))):
        raise InvalidRequest(f"{folder[:100]!r} is no folder in a repository")
    return GitSource(match["url"], ref, folder)


def _check(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise InvalidRequest(f"{text[:100]!r} is no {what}")
    return text


def _check_optional(pattern: re.Pattern[str], text: str, what: str) -> str | None:
    return _check(pattern, text, what) if text else None
