"""Clients of either era as the code behind the methods meets them: a version, and ways to be told and asked things.

Told: progress and log lines, before the answer, on the answer's own stream (MCP, Streamable HTTP). Asked: see
`toolbox.tools.client`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.auth.callers import Caller
from toolbox.mcp.answers import PendingAnswers
from toolbox.mcp.messages import MessageId, encode_notification, encode_request
from toolbox.mcp.streams import Channel
from toolbox.mcp.versions import Version
from toolbox.tools.client import (
    CAPABILITIES,
    METHODS,
    TASKS_EXTENSION,
    Capability,
    Client,
    LogLevel,
    MissingCapability,
    MissingTasks,
    Question,
    TaskRequired,
    require_answers,
    require_capability,
)

ProgressToken = MessageId
LEVELS: tuple[LogLevel, ...] = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Peer(Client, Protocol):
    """A client, who uses it, and the version of MCP that it speaks."""

    @property
    def caller(self) -> Caller:
        """On whose behalf it asks."""
        ...

    @property
    def version(self) -> Version:
        """The version of the request at hand."""
        ...

    @property
    def has_tasks(self) -> bool:
        """Whether it can follow a task."""
        ...


class ProgressParams(Struct, frozen=True, rename="camel"):
    """What notifications/progress carries."""

    progress_token: ProgressToken
    progress: float
    total: float | UnsetType = UNSET
    message: str | UnsetType = UNSET


class MessageParams(Struct, frozen=True):
    """What notifications/message carries."""

    level: LogLevel
    data: Any
    logger: str | UnsetType = UNSET


class _Told:
    """What both eras have in common: telling."""

    def __init__(
        self,
        caller: Caller,
        version: Version,
        channel: Channel,
        capabilities: Mapping[str, Raw],
        progress_token: ProgressToken | UnsetType,
        log_level: LogLevel | None,
    ) -> None:
        self.caller = caller
        self.version = version
        self.channel = channel
        self._progress_token = progress_token
        self._log_level = log_level
        self._capabilities = capabilities
        self._progress = float("-inf")

    def supports(self, capability: Capability) -> bool:
        """Whether the client declared that it can be asked this."""
        return capability in self._capabilities

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Send progress to a client that gave a token for it; it must always grow."""
        if self._progress_token is UNSET or progress <= self._progress:
            return
        self._progress = progress
        params = ProgressParams(
            self._progress_token,
            progress,
            UNSET if total is None else total,
            message if message is not None and self.version.has_progress_texts else UNSET,
        )
        await self.channel.offer(encode_notification("notifications/progress", params))

    async def release(self, retry_seconds: float) -> None:
        """Let a client go that can come back for the answer."""
        await self.channel.release(retry_seconds)

    async def log(self, level: LogLevel, data: Any, logger: str | None) -> None:
        """Send a line to a client that wants lines of this level."""
        if self._log_level is None or LEVELS.index(level) < LEVELS.index(self._log_level):
            return
        params = MessageParams(level, data, logger or UNSET)
        await self.channel.send(encode_notification("notifications/message", params))


class StatelessPeer(_Told):
    """A client that is asked by the result of its request, and answers in the next one."""

    def __init__(
        self,
        caller: Caller,
        version: Version,
        channel: Channel,
        *,
        request_id: MessageId,
        capabilities: Mapping[str, Raw],
        progress_token: ProgressToken | UnsetType = UNSET,
        log_level: LogLevel | None = None,
        answers: Mapping[str, Any] = {},
    ) -> None:
        self.request_id = request_id
        super().__init__(caller, version, channel, capabilities, progress_token, log_level)
        self._answers = answers

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """The answers that came with the request.

        Raises:
            MissingCapability: The client did not declare what one of the questions needs.
            InputRequired: Some are missing.
        """
        return require_answers(questions, self._answers, self._capabilities)

    @property
    def has_tasks(self) -> bool:
        """Whether this request declares the extension."""
        declared = self._capabilities.get("extensions")
        try:
            return declared is not None and TASKS_EXTENSION in msgspec.json.decode(declared, type=dict[str, Raw])
        except msgspec.ValidationError:
            return False

    async def become_task(self) -> None:
        """End this run; a worker begins another, with the answers so far.

        Raises:
            MissingTasks: The request does not declare the extension.
            TaskRequired: It does.
        """
        if not self.has_tasks:
            raise MissingTasks
        raise TaskRequired(self._capabilities, self._answers)


class HandshakePeer(_Told):
    """A client that is asked on the stream of its request, and answers in a request of its own, to any replica."""

    def __init__(
        self,
        caller: Caller,
        version: Version,
        channel: Channel,
        *,
        capabilities: Mapping[str, Raw],
        pending: PendingAnswers,
        progress_token: ProgressToken | UnsetType = UNSET,
        log_level: LogLevel | None = "info",
        session_id: str = "",
    ) -> None:
        super().__init__(caller, version, channel, capabilities, progress_token, log_level)
        self.session_id = session_id
        self._pending = pending
        self._answers = dict[str, Any]()

    @property
    def has_tasks(self) -> bool:
        """The extension belongs to the stateless era."""
        return False

    async def become_task(self) -> None:
        """Nothing of this era can follow a task.

        Raises:
            MissingTasks: Always.
        """
        raise MissingTasks

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """The answers, when all have come.

        Raises:
            MissingCapability: The client did not declare what one of the questions needs, or takes no stream.
            ToolError: The client refuses to answer.
        """
        for key, question in questions.items():
            if key in self._answers:
                continue
            require_capability(self._capabilities, question)
            if not self.channel.accepts_stream:
                raise MissingCapability(CAPABILITIES[type(question)], "it must accept text/event-stream to be asked")
        for key, question in questions.items():
            if key not in self._answers:
                self._answers[key] = await self._ask(question)
        return self._answers

    async def _ask(self, question: Question) -> Any:
        # The id is a secret between this request and its client: who knows it may answer, on any replica.
        with self._pending.expect() as expected:
            await self.channel.send(encode_request(expected.request_id, METHODS[type(question)], question))
            return await expected.answer
