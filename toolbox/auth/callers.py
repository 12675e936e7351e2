"""Who is calling, as every part of ToolBox sees it."""

from msgspec import Struct

from toolbox.auth.scopes import ALL, LIMITED
from toolbox.definitions import ANONYMOUS
from toolbox.errors import InsufficientScope


class Caller(Struct, frozen=True):
    """One who calls: calls, results, tasks and searches are recorded under the name, and belong to it."""

    name: str
    scopes: frozenset[str]
    toolsets: frozenset[str] | None = None
    """The toolsets whose tools it sees and calls; None: all tools."""
    is_anonymous: bool = False
    is_anybody: bool = False
    """Whether many, who do not know of each other, come under this name."""

    @property
    def reads_all(self) -> bool:
        """Whether it may read what belongs to others."""
        return "tools:write" in self.scopes and self.toolsets is None

    @property
    def owner(self) -> str | None:
        """Whose calls, results and tasks it may read; None: everybody's."""
        return None if self.reads_all else self.name

    @property
    def learner(self) -> str:
        """For whom search learns from what it uses; for nobody (an empty name) where it may be anybody."""
        return "" if self.is_anybody else self.name

    @property
    def within(self) -> tuple[str, ...] | None:
        """Its toolsets, as filters take them."""
        return None if self.toolsets is None else tuple(sorted(self.toolsets))

    def require(self, scope: str) -> None:
        """Refuse what needs a scope that the caller lacks.

        Raises:
            InsufficientScope: It does.
        """
        if scope not in self.scopes:
            raise InsufficientScope(scope)

    def require_whole(self) -> None:
        """Refuse what is about the catalogue as a whole to a caller who sees only some toolsets.

        Raises:
            InsufficientScope: It does.
        """
        if self.toolsets is not None:
            raise InsufficientScope("tools:read", "this is about all tools, and you are limited to some toolsets")

    def sees_toolset(self, name: str) -> bool:
        """Whether a toolset exists for this caller."""
        return self.toolsets is None or name in self.toolsets


def name_caller(key_name: str) -> str:
    """What the caller is called who shows a key."""
    return f"key:{key_name}"


def limited_to(name: str, scopes: frozenset[str], toolsets: frozenset[str] | None) -> Caller:
    """A caller; one who is limited to toolsets can read and call, whatever else it was given."""
    return Caller(name, scopes if toolsets is None else scopes & LIMITED, toolsets)


LOCAL = Caller(ANONYMOUS, ALL, is_anonymous=True)
"""Whoever uses this machine, where nothing is configured; also the command line, which has the database itself."""

VISITOR = Caller(ANONYMOUS, LIMITED, is_anonymous=True, is_anybody=True)
"""Whoever comes without a key, where the operator allows that."""

NOBODY = Caller("nobody", frozenset(), frozenset())
"""One who has not said who it is, or could not prove it."""
