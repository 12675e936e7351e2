"""The shapes of calls on the wire."""

from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from toolbox.auth.callers import Caller
from toolbox.calls.excerpts import More
from toolbox.calls.executor import Outcome
from toolbox.calls.service import CallRequest, CallResult
from toolbox.definitions import Moment

MIN_TOKENS, MAX_TOKENS = 100, 1_000_000
"""Between them is what callers may say of how long a result may be."""


class CallToolRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tool to call, and with what."""

    tool_name: Annotated[str, Meta(min_length=1, max_length=256, examples=["text_reverse"])]
    arguments: Annotated[dict[str, Any], Meta(examples=[{"text": "hello"}])] = {}
    timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None
    max_tokens: (
        Annotated[int, Meta(ge=MIN_TOKENS, le=MAX_TOKENS, description="A longer result comes as its first part.")]
        | None
    ) = None

    toolset: (
        Annotated[str, Meta(max_length=64, description="Call it through this toolset: only if it has the tool.")] | None
    ) = None

    consent: Annotated[
        bool,
        Meta(
            description="The user was asked, and lets it destroy something: see `asks_before_destructive` of toolsets."
        ),
    ] = False

    def to_call(self, caller: Caller, channel: str) -> CallRequest:
        """The call that is asked for."""
        return CallRequest(
            tool_name=self.tool_name,
            arguments=self.arguments,
            timeout_seconds=self.timeout_seconds,
            max_tokens=self.max_tokens,
            toolset=self.toolset,
            has_consent=self.consent,
            caller=caller,
            channel=channel,
        )


class CallError(Struct, frozen=True):
    """Why a tool failed.

    tool_failed: in the tool's own words; tool_timeout; tool_crashed; invalid_result: not what its schema promises.
    declined, consent_needed: the user has to be asked first, and said no or cannot be asked; the tool did not run.
    """

    code: str
    message: str
    detail: Annotated[str, Meta(description="tool_crashed, with DEBUG alone: the traceback.")] | UnsetType = UNSET


class CallToolResponse(Struct, frozen=True, kw_only=True):
    """What came of a call; `result` is the tool's value."""

    success: bool
    result: Any
    error: CallError | None
    execution_id: UUID
    duration_ms: float
    more: Annotated[More, Meta(description="There if `result` is not all: how to go on.")] | UnsetType = UNSET
    recorded: (
        Annotated[bool, Meta(description="False: the database did not answer; the call is in the history later.")]
        | UnsetType
    ) = UNSET


class RecordedCall(Struct, frozen=True, kw_only=True):
    """A call in the history."""

    id: UUID
    tool_name: str
    tool_version: str
    caller: str
    channel: str
    arguments: dict[str, Any]
    success: bool
    result: Any
    error_code: str | None
    error_message: str | None
    started_at: Moment
    duration_ms: float
    trace_id: str | None


def to_response(call: CallResult) -> CallToolResponse:
    """A call as REST answers it."""
    outcome = call.outcome
    return CallToolResponse(
        success=call.success,
        result=call.value,
        error=_to_error(outcome) if outcome.error_code else None,
        execution_id=call.execution_id,
        duration_ms=call.duration_ms,
        more=call.more or UNSET,
        recorded=UNSET if call.is_recorded else False,
    )


def _to_error(outcome: Outcome) -> CallError:
    return CallError(outcome.error_code or "", outcome.error_message or "", outcome.detail or UNSET)
