"""Rounds of questions in the stateless era (MCP 2026-07-28, multi round-trip requests).

What a tool asks is the result of its call; the client calls again with answers and the `requestState` that it was
given. The state holds all answers of earlier rounds. It is sealed, and good only for the same method with the same
parameters by the same caller: what comes back from a client is an attacker's until the seal says otherwise.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from toolbox.calls.consent import KEY as CONSENT
from toolbox.mcp.messages import INVALID_PARAMS, ProtocolError, Request
from toolbox.seals import SealBroken, Sealer
from toolbox.tools.client import InputRequest, InputRequired, to_input_requests

STATE_SECONDS = 3600.0
_PURPOSE = "mcp request state"
_OWN_TO_A_ROUND = ("_meta", "inputResponses", "requestState")


class RoundParams(Struct, frozen=True, rename="camel"):
    """What a request brings back from the round before."""

    input_responses: dict[str, Raw] | UnsetType = UNSET
    request_state: str | UnsetType = UNSET


class InputRequiredResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a request that cannot go on without answers."""

    result_type: str = "input_required"
    input_requests: dict[str, InputRequest]
    request_state: str
    meta: Raw = msgspec.field(name="_meta")


class _State(Struct, frozen=True, array_like=True):
    digest: bytes
    answers: dict[str, Any]
    asked: tuple[str, ...]
    """The keys of the questions of the round."""


def read_answers(sealer: Sealer, request: Request, params: RoundParams, caller: str) -> dict[str, Any]:
    """All answers so far, those of this round over earlier ones.

    A client may answer a tool's questions before they are asked, as the specification lets it. Whether the user agrees
    is a question of ToolBox's own, and counts only when it was asked.

    Raises:
        ProtocolError: The state was not made for this request, or an answer is not an object.
    """
    given = {} if params.input_responses is UNSET else _read_responses(params.input_responses)
    if params.request_state is UNSET:
        return {key: answer for key, answer in given.items() if key != CONSENT}
    state = _open_state(sealer, params.request_state, _digest(request, caller))
    return state.answers | {key: answer for key, answer in given.items() if key in state.asked}


def _read_responses(responses: Mapping[str, Raw]) -> dict[str, Any]:
    answers = {key: msgspec.json.decode(raw) for key, raw in responses.items()}
    for key, answer in answers.items():
        if not isinstance(answer, dict):
            raise ProtocolError(INVALID_PARAMS, f"inputResponses[{key[:100]!r}] must be an object")
    return answers


def require_input(
    sealer: Sealer, request: Request, required: InputRequired, answers: Mapping[str, Any], caller: str, meta: Raw
) -> InputRequiredResult:
    """The questions, with the state that takes the answers so far to the next round."""
    state = msgspec.msgpack.encode(_State(_digest(request, caller), dict(answers), tuple(required.questions)))
    return InputRequiredResult(
        input_requests=to_input_requests(required.questions),
        request_state=sealer.seal(_PURPOSE, state, seconds=STATE_SECONDS),
        meta=meta,
    )


def _open_state(sealer: Sealer, text: str, digest: bytes) -> _State:
    try:
        state = msgspec.msgpack.decode(sealer.open(_PURPOSE, text), type=_State)
    except SealBroken as error:
        raise ProtocolError(INVALID_PARAMS, f"requestState cannot be used: {error}") from error
    if state.digest != digest:
        raise ProtocolError(INVALID_PARAMS, "requestState belongs to another request")
    return state


def _digest(request: Request, caller: str) -> bytes:
    """What all rounds of one request have in common."""
    params = {name: value for name, value in msgspec.json.decode(request.params).items() if name not in _OWN_TO_A_ROUND}
    encoded = msgspec.json.encode([caller, request.method, params], order="deterministic")
    return hashlib.sha256(encoded).digest()
