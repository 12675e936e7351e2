"""What there is beside tools, as one: resources, prompts, completion and skills, each with methods and capabilities.

A method whose capability is not there is not found, as if ToolBox did not know it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec import Raw

from toolbox.mcp.completion import Completions
from toolbox.mcp.envelopes import Result
from toolbox.mcp.messages import METHOD_NOT_FOUND, ProtocolError
from toolbox.mcp.peers import Peer
from toolbox.mcp.prompts import Prompts
from toolbox.mcp.resources import Resources
from toolbox.mcp.runner import Runner
from toolbox.mcp.skills import SKILLS_EXTENSION, Skills
from toolbox.prompts import Prompt
from toolbox.resources import Resource
from toolbox.skills import Skill

Method: TypeAlias = Callable[[Raw, Peer, str], Awaitable[Result]]

OFFERED_METHODS = (
    "completion/complete",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
)
"""The methods of both eras."""

SUBSCRIPTION_METHODS = ("resources/subscribe", "resources/unsubscribe")
"""Those that only the handshake era has."""

SKILL_METHODS = ("resources/directory/read", "skills/get", "skills/list")
"""Those that only the stateless era has."""


class Offers:
    """Answers the methods that are not about tools."""

    def __init__(
        self,
        own: Collection[Resource] = (),
        resources: Mapping[str, Resource] = MappingProxyType({}),
        prompts: Mapping[str, Prompt] = MappingProxyType({}),
        runner: Runner | None = None,
        *,
        skills: Mapping[str, Skill] = MappingProxyType({}),
    ) -> None:
        """Offer ToolBox's own resources, and what plugins offer, as it is at each request."""
        runner = runner or Runner()
        self._resources = Resources(own, resources, runner)
        self._prompts = Prompts(prompts, runner)
        self._skills = Skills(skills)
        self._completions = Completions(self._resources, self._prompts, runner)
        self._methods: Mapping[str, tuple[object, Method]] = {
            "completion/complete": (self._completions, self._completions.complete),
            "prompts/get": (self._prompts, self._prompts.get),
            "prompts/list": (self._prompts, self._prompts.list_prompts),
            "resources/list": (self._resources, self._resources.list_resources),
            "resources/read": (self._resources, self._resources.read),
            "resources/templates/list": (self._resources, self._resources.list_templates),
            "resources/directory/read": (self._skills, self._skills.read_directory),
            "resources/subscribe": (self._resources, self._resources.check),
            "resources/unsubscribe": (self._resources, self._resources.check),
            "skills/get": (self._skills, self._skills.get),
            "skills/list": (self._skills, self._skills.list_skills),
        }

    @property
    def capabilities(self) -> dict[str, dict[str, Any]]:
        """What of this there is at the moment."""
        there = {"completions": self._completions, "prompts": self._prompts, "resources": self._resources}
        can_change = {"prompts": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}}
        return {name: can_change.get(name, {}) for name, methods in there.items() if methods}

    @property
    def extensions(self) -> dict[str, dict[str, Any]]:
        """The same of what the stateless era has beyond."""
        return {SKILLS_EXTENSION: {"directoryRead": True}} if self._skills else {}

    async def answer(self, method: str, params: Raw, peer: Peer) -> Result:
        """The result of a method.

        Raises:
            ProtocolError: Nothing of this kind is offered, or the request is wrong, or what answers it failed.
        """
        offered, run = self._methods[method]
        if not offered:
            raise ProtocolError(METHOD_NOT_FOUND, f"there is no method {method!r}: nothing of its kind is offered")
        return await run(params, peer, peer.caller.name)
