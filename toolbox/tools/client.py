"""The client at the other end of a call: what a tool may tell it, and what it may ask of it.

A tool asks by key. How the answer comes is the channel's affair: a client of MCP's handshake era is asked while the
tool waits; one of the stateless era gets the questions as the result (MCP 2026-07-28, InputRequiredResult), calls
again with the answers, and the tool runs again from its start. The tool's code is the same for both.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.definitions import AudioContent, ImageContent, TextContent
from toolbox.errors import ToolboxError

LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
Capability = Literal["elicitation", "sampling", "roots"]


class Elicitation(Struct, frozen=True, rename="camel", kw_only=True):
    """A question to the person who uses the client (MCP, elicitation/create).

    `requested_schema` is a flat JSON Schema object of texts, numbers, booleans and choices. With `url`, the person
    answers on that page instead, which is the only way that secrets may go.
    """

    message: str
    requested_schema: dict[str, Any] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    elicitation_id: str | UnsetType = UNSET
    mode: Literal["form", "url"] | UnsetType = UNSET


class SamplingMessage(Struct, frozen=True):
    """One message of a conversation that the client's model is asked to go on with."""

    role: Literal["user", "assistant"]
    content: TextContent | ImageContent | AudioContent


class Sampling(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A question to the client's model (MCP, sampling/createMessage)."""

    messages: tuple[SamplingMessage, ...]
    max_tokens: int
    system_prompt: str | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    stop_sequences: tuple[str, ...] | UnsetType = UNSET
    model_preferences: dict[str, Any] | UnsetType = UNSET


class ListRoots(Struct, frozen=True):
    """A question for the folders that the client works in (MCP, roots/list)."""


Question = Elicitation | Sampling | ListRoots


class Elicited(Struct, frozen=True):
    """What the person did. `content` holds the answers by field, if `action` is "accept"."""

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] = {}


class Sampled(Struct, frozen=True, rename="camel"):
    """What the client's model said."""

    role: Literal["user", "assistant"]
    content: Any
    model: str = ""
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        """The text of the answer, without pictures and sounds."""
        parts = self.content if isinstance(self.content, list) else [self.content]
        return "".join(part.get("text", "") for part in parts if isinstance(part, dict))


class Root(Struct, frozen=True):
    """A folder that the client works in."""

    uri: str
    name: str | None = None


class Roots(Struct, frozen=True):
    """The folders that the client works in."""

    roots: tuple[Root, ...] = ()


Answer = Elicited | Sampled | Roots

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

ANSWERS: Mapping[type[Question], type[Answer]] = {Elicitation: Elicited, Sampling: Sampled, ListRoots: Roots}
METHODS: Mapping[type[Question], str] = {
    Elicitation: "elicitation/create",
    Sampling: "sampling/createMessage",
    ListRoots: "roots/list",
}
CAPABILITIES: Mapping[type[Question], Capability] = {
    Elicitation: "elicitation",
    Sampling: "sampling",
    ListRoots: "roots",
}


class InputRequest(Struct, frozen=True):
    """A question as a client gets it that is asked by a result."""

    method: str
    params: Question


class MissingCapability(ToolboxError):
    """A tool asks for something that its caller cannot do."""

    code = "capability_missing"
    status = 409
    jsonrpc_code = -32021

    def __init__(self, capability: Capability, why: str = "the client did not declare it") -> None:
        super().__init__(f"the tool needs a client with {capability}: {why}")
        self.why = why
        """Without what is needed."""
        self.required: dict[str, Any] = {capability: {}}
        """What the client would have to declare, as it declares it."""


class MissingTasks(MissingCapability):
    """A tool can go on only as a task, which its caller cannot follow."""

    def __init__(self) -> None:
        ToolboxError.__init__(
            self, f"this is about a task, so it needs a client of MCP that declares the extension {TASKS_EXTENSION}"
        )
        self.why = "the client cannot follow tasks"
        self.required = {"extensions": {TASKS_EXTENSION: {}}}


class InputRequired(BaseException):
    """The client must answer first. Not an Exception, so that no tool takes it for a failure."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        super().__init__(", ".join(questions))
        self.questions = questions


class TaskRequired(BaseException):
    """The call goes on as a task, run by a worker. Not an Exception, so that no tool takes it for a failure."""

    def __init__(self, capabilities: Mapping[str, Raw], answers: Mapping[str, Any]) -> None:
        """What the client can be asked, and what it has answered so far."""
        super().__init__()
        self.capabilities = capabilities
        self.answers = answers


class Client(Protocol):
    """The caller, as far as its channel reaches it."""

    def supports(self, capability: Capability) -> bool:
        """Whether it can be asked such a question."""
        ...

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Say how far a call has come; lost where nobody listens."""
        ...

    async def log(self, level: LogLevel, data: Any, logger: str | None) -> None:
        """Say something for the client's log; lost where nobody listens."""
        ...

    async def release(self, retry_seconds: float) -> None:
        """Let the client go, if it can come back for the answer."""
        ...

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """The answers as plain data, by the keys of the questions.

        Raises:
            MissingCapability: The client cannot be asked this.
            InputRequired: The client is asked by ending this run.
        """
        ...

    async def become_task(self) -> None:
        """Go on only as a task; nothing where the call is one already.

        Raises:
            MissingTasks: The client cannot follow a task.
            TaskRequired: The call becomes one by ending this run.
        """
        ...


class SilentClient:
    """A caller that hears nothing before the result and cannot be asked: REST, the command line."""

    def supports(self, _capability: Capability) -> bool:
        """Nobody answers."""
        return False

    async def report_progress(self, progress: float, total: float | None, message: str | None) -> None:
        """Nobody listens."""

    async def log(self, level: LogLevel, data: Any, logger: str | None) -> None:
        """Nobody listens."""

    async def release(self, retry_seconds: float) -> None:
        """It stays."""

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """Nobody answers."""
        question = next(iter(questions.values()))
        raise MissingCapability(CAPABILITIES[type(question)], "it can be called over MCP only")

    async def become_task(self) -> None:
        """It waits for the result."""
        raise MissingTasks


SILENT = SilentClient()


def require_capability(capabilities: Mapping[str, Raw], question: Question) -> None:
    """Refuse a question that the client did not declare to understand.

    Raises:
        MissingCapability: Names what is missing.
    """
    name = CAPABILITIES[type(question)]
    if name not in capabilities:
        raise MissingCapability(name)
    if isinstance(question, Elicitation) and question.url is not UNSET:
        modes = msgspec.json.decode(capabilities[name])
        if not (isinstance(modes, dict) and "url" in modes):
            raise MissingCapability(name, "it shows forms, but opens no pages")


def require_answers(
    questions: Mapping[str, Question], answers: Mapping[str, Any], capabilities: Mapping[str, Raw]
) -> Mapping[str, Any]:
    """The answers of a client that is asked by ending what asks, and gives them when it begins anew.

    Raises:
        MissingCapability: The client did not declare what one of the questions needs.
        InputRequired: Some are missing.
    """
    missing = {key: question for key, question in questions.items() if key not in answers}
    for question in missing.values():
        require_capability(capabilities, question)
    if missing:
        raise InputRequired(missing)
    return answers


def to_input_requests(questions: Mapping[str, Question]) -> dict[str, InputRequest]:
    """Questions as a client gets them that is asked by a result."""
    return {key: InputRequest(METHODS[type(asked)], asked) for key, asked in questions.items()}


def read_answer(question: Question, answer: Any) -> Answer:
    """An answer in its own form.

    Raises:
        msgspec.ValidationError: It is no answer to this kind of question.
    """
    return msgspec.convert(answer, ANSWERS[type(question)])
