"""JSON-RPC 2.0 as MCP uses it: reading a body into messages, writing results and errors. Pure module: no I/O.

An error never carries `id: null`: no version of MCP allows it. The id is left out where it is not known.
"""

from typing import Any, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

MAX_BATCH = 100
"""Messages in one body: each costs more to answer than to send."""

MessageId = int | str

T = TypeVar("T")


class ProtocolError(Exception):
    """A message is refused: becomes a JSON-RPC error. `message` goes to the client as it is."""

    def __init__(self, code: int, message: str, *, data: Any = UNSET, id: MessageId | UnsetType = UNSET) -> None:  # noqa: A002
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.id = id


class Request(Struct, frozen=True):
    """Something that must be answered."""

    id: MessageId
    method: str
    params: Raw


class Notification(Struct, frozen=True):
    """Something that must not be answered."""

    method: str
    params: Raw = Raw(b"{}")


class ClientResponse(Struct, frozen=True):
    """An answer to a request of ours: a result, or the error that stands for it."""

    id: MessageId | UnsetType
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


Message = Request | Notification | ClientResponse


def is_batch(body: bytes) -> bool:
    """Whether a body holds several messages."""
    return body.lstrip(b" \t\r\n")[:1] == b"["


def read_message(body: bytes | Raw) -> Message:
    """The one message in a body.

    Raises:
        ProtocolError: It is not JSON, or not a message.
    """
    try:
        if isinstance(body, bytes):
            body.decode()  # parts that nobody reads are not looked at otherwise
        envelope = _read_envelope(body)
    except msgspec.ValidationError as error:
        raise ProtocolError(INVALID_REQUEST, f"not a JSON-RPC message: {error}", id=find_id(body)) from error
    except RecursionError as error:
        raise ProtocolError(PARSE_ERROR, "the body is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(PARSE_ERROR, f"the body is not JSON: {error}") from error
    return _classify(envelope)


def read_batch(body: bytes) -> list[Message | ProtocolError]:
    """The messages in a body that holds several; one that is wrong stands there as its error.

    Raises:
        ProtocolError: It is not JSON, or there are none or too many in it.
    """
    try:
        body.decode()
        parts = msgspec.json.decode(body, type=list[Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(PARSE_ERROR, f"the body is not JSON: {error}") from error
    if not 1 <= len(parts) <= MAX_BATCH:
        raise ProtocolError(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} messages, this one {len(parts)}")
    return [_read_part(part) for part in parts]


def read_params(params: Raw, wanted: type[T], method: str) -> T:
    """The parameters of a request.

    Raises:
        ProtocolError: They are not what the method takes.
    """
    try:
        return cast("T", _DECODERS[wanted].decode(params))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(INVALID_PARAMS, f"params of {method}: {error}") from error


class _Decoders(dict[Any, msgspec.json.Decoder[Any]]):
    """To read a type costs more than to read most parameters."""

    def __missing__(self, wanted: Any) -> msgspec.json.Decoder[Any]:
        decoder = self[wanted] = msgspec.json.Decoder(wanted)
        return decoder


_DECODERS = _Decoders()


def encode_result(id: MessageId, result: Struct | Raw) -> bytes:  # noqa: A002 - JSON-RPC's own word
    """The answer to a request."""
    return msgspec.json.encode(_Result(id=id, result=result))


def encode_request(id: MessageId, method: str, params: Any) -> bytes:  # noqa: A002 - JSON-RPC's own word
    """A request to a client."""
    return msgspec.json.encode(_Call(id=id, method=method, params=params))


def encode_notification(method: str, params: Any) -> bytes:
    """Something that a client need not answer."""
    return msgspec.json.encode(_Call(method=method, params=params))


def encode_error(error: ProtocolError) -> bytes:
    """The answer to a message that is refused."""
    return msgspec.json.encode(_Failure(id=error.id, error=_Error(error.code, error.message, error.data)))


class _Envelope(Struct):
    jsonrpc: Literal["2.0"]
    id: MessageId | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw = Raw(b"{}")
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class _JustId(Struct):
    id: MessageId | UnsetType = UNSET


class _Result(Struct, kw_only=True):
    jsonrpc: str = "2.0"
    id: MessageId
    result: Any


class _Call(Struct, kw_only=True):
    jsonrpc: str = "2.0"
    id: MessageId | UnsetType = UNSET
    method: str
    params: Any


class _Error(Struct):
    code: int
    message: str
    data: Any


class _Failure(Struct, kw_only=True):
    jsonrpc: str = "2.0"
    id: MessageId | UnsetType
    error: _Error


_read_envelope = msgspec.json.Decoder(_Envelope).decode


def _classify(envelope: _Envelope) -> Message:
    if envelope.method is UNSET:
        if envelope.result is not UNSET or envelope.error is not UNSET:
            return ClientResponse(envelope.id, envelope.result, envelope.error)
        raise ProtocolError(INVALID_REQUEST, "not a JSON-RPC message: method is missing", id=envelope.id)
    params = bytes(memoryview(envelope.params)[:1])
    if params == b"n":  # null, which some clients write for "none"
        envelope.params = Raw(b"{}")
    elif params != b"{":
        raise ProtocolError(INVALID_REQUEST, "params must be an object", id=envelope.id)
    if envelope.id is not UNSET:
        return Request(envelope.id, envelope.method, envelope.params)
    if not envelope.method.startswith("notifications/"):
        raise ProtocolError(INVALID_REQUEST, f"{envelope.method[:100]!r} is a request, and a request needs an id")
    return Notification(envelope.method, envelope.params)


def _read_part(part: Raw) -> Message | ProtocolError:
    try:
        return read_message(part)
    except ProtocolError as error:
        return error


def find_id(body: bytes | Raw) -> MessageId | UnsetType:
    """The id of a message that is wrong elsewhere."""
    try:
        return msgspec.json.decode(body, type=_JustId).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNSET
