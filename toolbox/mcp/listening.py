"""Streams on which clients hear that what is offered has changed, whichever replica or plugin changed it.

(MCP 2026-07-28, subscriptions/listen; before it, the stream that a client opens by GET.)
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Any, Literal

import structlog
from msgspec import Struct

from toolbox.errors import Overloaded, ToolboxError
from toolbox.events import Event, Events
from toolbox.mcp.messages import encode_notification

logger = structlog.get_logger(__name__)

RESOURCE = "resource:"
"""Before the URI of a resource whose content has changed."""

RETRY_SECONDS = 5.0
"""How soon lists are compared again after the database did not answer."""

Kind = Literal["tools", "prompts", "resources"]
KINDS: tuple[Kind, ...] = ("tools", "prompts", "resources")


class Wishes(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a client wants to hear of (MCP, SubscriptionFilter); it never hears of anything else."""

    tools_list_changed: bool = False
    prompts_list_changed: bool = False
    resources_list_changed: bool = False
    resource_subscriptions: tuple[str, ...] = ()

    @property
    def changes(self) -> frozenset[str]:
        """The same as it is told: a kind of list, or a URI behind RESOURCE."""
        asked = (self.tools_list_changed, self.prompts_list_changed, self.resources_list_changed)
        lists = [kind for kind, is_wanted in zip(KINDS, asked, strict=True) if is_wanted]
        return frozenset([*lists, *(RESOURCE + uri for uri in self.resource_subscriptions)])


class Endpoint(Struct, frozen=True):
    """What a listener is connected to: its list of tools is compared with itself by `read_tools`."""

    key: Hashable
    read_tools: Callable[[], Awaitable[object]]


class Listener:
    """One open stream: what has changed for it, since it last heard."""

    def __init__(self, endpoint: Endpoint, wishes: Wishes, caller: str, session_id: str = "") -> None:
        """`session_id` is that of a client of the handshake era, which may wish for more later."""
        self.caller = caller
        self.endpoint = endpoint
        self.wishes = wishes
        self.wanted = wishes.changes
        self.session_id = session_id
        self.tools: object = None
        self._news = dict[str, None]()  # ordered; what is told twice before it is heard is heard once
        self._wake = asyncio.Event()
        self._is_closed = False

    async def changes(self) -> AsyncIterator[str]:
        """Each change as it comes, until the process ends, or the caller's key."""
        while not self._is_closed:
            await self._wake.wait()
            self._wake.clear()
            while self._news and not self._is_closed:
                change = next(iter(self._news))
                del self._news[change]
                yield change

    def tell(self, change: str) -> None:
        """Let it hear of a change, if it wants to."""
        if change in self.wanted:
            self._news[change] = None
            self._wake.set()

    def close(self) -> None:
        """Let it end."""
        self._is_closed = True
        self._wake.set()


class Listeners:
    """The open streams of this process. Each costs a task that sleeps, and hears nothing twice."""

    def __init__(self, events: Events, *, limit: int) -> None:
        self._limit = limit
        self._listeners = set[Listener]()
        self._is_closing = False
        self._comparing: asyncio.Task[None] | None = None
        self._compare_again = False
        events.subscribe("tools", self._hear_tools)
        events.subscribe("lists", self._hear_lists)
        events.subscribe("keys", self._hear_keys)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._listeners)

    @contextlib.asynccontextmanager
    async def open(
        self, endpoint: Endpoint, wishes: Wishes, caller: str, session_id: str = ""
    ) -> AsyncIterator[Listener]:
        """A listener that hears of every change from now on, while the block runs.

        Raises:
            Overloaded: There are too many streams.
        """
        if len(self._listeners) >= self._limit:
            raise Overloaded(f"{self._limit} streams are open, which MAX_STREAMS allows; close one, or try again later")
        listener = Listener(endpoint, wishes, caller, session_id)
        self._listeners.add(listener)  # before it reads: what changes meanwhile is compared again
        try:
            if "tools" in listener.wanted:
                listener.tools = await endpoint.read_tools()
            if self._is_closing:
                listener.close()
            yield listener
        finally:
            self._listeners.discard(listener)

    def of_sessions(self, session_id: str | None = None) -> list[Listener]:
        """The streams of one session, or of all."""
        return [
            each
            for each in self._listeners
            if each.session_id and (session_id is None or each.session_id == session_id)
        ]

    def close(self) -> None:
        """Let all streams end: the process stops."""
        self._is_closing = True
        for listener in self._listeners:
            listener.close()

    def _tell(self, change: str) -> None:
        for listener in self._listeners:
            listener.tell(change)

    def _hear_lists(self, event: Event) -> None:
        if not event.is_resync:
            self._tell(event.payload)
            return
        for listener in self._listeners:  # anything may have changed
            for change in listener.wanted:
                listener.tell(change)

    def _hear_keys(self, event: Event) -> None:
        """Who is let in no more hears no more either: the stream ends, and another one is refused."""
        for listener in self._listeners:
            if event.payload and listener.caller == event.payload:
                listener.close()

    def _hear_tools(self, _event: Event) -> None:
        """Most changes of the catalogue change no list of tools that anybody sees: compare before telling."""
        self._compare_again = True
        if self._comparing is None:
            self._comparing = asyncio.get_running_loop().create_task(self._compare())

    async def _compare(self) -> None:
        try:
            while self._compare_again and not self._is_closing:
                self._compare_again = False
                await self._try_to_compare()
        finally:
            self._comparing = None

    async def _try_to_compare(self) -> None:
        try:
            await self._compare_once()
        except ToolboxError as error:
            logger.warning("whether lists have changed is not known; trying again", reason=error.message)
            self._compare_again = True
            await asyncio.sleep(RETRY_SECONDS)

    async def _compare_once(self) -> None:
        now = dict[Hashable, object]()
        for listener in tuple(self._listeners):
            if "tools" not in listener.wanted or listener.tools is None:
                continue
            key = listener.endpoint.key
            if key not in now:
                now[key] = await listener.endpoint.read_tools()
            if now[key] != listener.tools:
                listener.tools = now[key]
                listener.tell("tools")


def to_notification(change: str, meta: dict[str, Any] | None = None) -> bytes:
    """A change as clients hear it; `meta` says on which subscription."""
    params: dict[str, Any] = {"_meta": meta} if meta else {}
    if change.startswith(RESOURCE):
        return encode_notification("notifications/resources/updated", params | {"uri": change.removeprefix(RESOURCE)})
    return encode_notification(f"notifications/{change}/list_changed", params)
