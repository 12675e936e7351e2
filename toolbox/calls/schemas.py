"""The shapes of calls on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from toolbox.calls.service import CallRequest, CallResult


class CallToolRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tool to call, and with what."""

    tool_name: Annotated[str, Meta(min_length=1, max_length=256, examples=["text_reverse"])]
    arguments: Annotated[dict[str, Any], Meta(examples=[{"text": "hello"}])] = {}
    timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] | None = None

    def to_call(self, caller: str, channel: str) -> CallRequest:
        """The call that is asked for."""
        return CallRequest(
            tool_name=self.tool_name,
            arguments=self.arguments,
            timeout_seconds=self.timeout_seconds,
            caller=caller,
            channel=channel,
        )


class CallError(Struct, frozen=True):
    """Why a tool failed: tool_failed in its own words, tool_timeout, or tool_crashed."""

    code: str
    message: str


class CallToolResponse(Struct, frozen=True, kw_only=True):
    """What came of a call; `result` is the tool's value."""

    success: bool
    result: Any
    error: CallError | None
    execution_id: UUID
    duration_ms: float


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
    started_at: datetime
    duration_ms: float


def to_response(call: CallResult) -> CallToolResponse:
    """A call as REST answers it."""
    outcome = call.outcome
    return CallToolResponse(
        success=call.success,
        result=outcome.result.value if outcome.result else None,
        error=CallError(outcome.error_code, outcome.error_message or "") if outcome.error_code else None,
        execution_id=call.execution_id,
        duration_ms=call.duration_ms,
    )
