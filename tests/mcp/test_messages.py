"""Reading JSON-RPC messages, and refusing what is none."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Raw, Struct

from toolbox.mcp.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_BATCH,
    PARSE_ERROR,
    ClientResponse,
    Notification,
    ProtocolError,
    Request,
    encode_error,
    encode_result,
    is_batch,
    read_batch,
    read_message,
    read_params,
)


def test_a_request_keeps_its_id_and_leaves_its_params_unread() -> None:
    request = read_message(b'{"jsonrpc": "2.0", "id": "a", "method": "ping", "params": {"x": [1]}}')
    assert isinstance(request, Request)
    assert (request.id, request.method, bytes(request.params)) == ("a", "ping", b'{"x": [1]}')


@pytest.mark.parametrize("params", ["", ', "params": null'])
def test_params_may_be_missing(params: str) -> None:
    request = read_message(f'{{"jsonrpc": "2.0", "id": 1, "method": "ping"{params}}}'.encode())
    assert isinstance(request, Request)
    assert bytes(request.params) == b"{}"


def test_what_has_no_id_is_a_notification() -> None:
    notification = read_message(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
    assert notification == Notification("notifications/initialized")


@pytest.mark.parametrize("outcome", ['"result": {}', '"error": {"code": 1, "message": ""}'])
def test_what_has_no_method_may_answer_us(outcome: str) -> None:
    message = read_message(f'{{"jsonrpc": "2.0", "id": 1, {outcome}}}'.encode())
    assert isinstance(message, ClientResponse)
    assert message.id == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "unread": "\xff"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": NaN}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "\\ud800"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping"} trailing',
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": ' + b"[" * 100_000,
        '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_a_parse_error_without_an_id(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_message(body)
    assert (caught.value.code, caught.value.id) == (PARSE_ERROR, UNSET)


@pytest.mark.parametrize(
    ("body", "known_id"),
    [
        (b"1", UNSET),
        (b"[]", UNSET),
        (b"{}", UNSET),
        (b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}', 7),
        (b'{"id": 7, "method": "ping"}', 7),
        (b'{"jsonrpc": "2.0", "id": 7}', 7),
        (b'{"jsonrpc": "2.0", "id": 7, "method": 8}', 7),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": []}', 7),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', UNSET),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', UNSET),
        (b'{"jsonrpc": "2.0", "id": [], "method": "ping"}', UNSET),
        (b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "ping"}', UNSET),
        (b'{"jsonrpc": "2.0", "method": "tools/list"}', UNSET),
    ],
)
def test_json_that_is_no_message_is_refused_with_the_id_where_there_is_one(body: bytes, known_id: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_message(body)
    assert (caught.value.code, caught.value.id) == (INVALID_REQUEST, known_id)


def test_of_two_members_with_one_name_the_last_counts() -> None:
    """Everything that looks at the message later reads the same one."""
    request = read_message(b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "a", "method": "b"}')
    assert request == Request(2, "b", request.params)  # type: ignore[union-attr]


def test_a_large_id_comes_back_as_it_is() -> None:
    huge = 10**300
    request = read_message(f'{{"jsonrpc": "2.0", "id": {huge}, "method": "ping"}}'.encode())
    assert isinstance(request, Request)
    assert msgspec.json.decode(encode_result(request.id, Raw(b"{}")))["id"] == huge


def test_a_batch_is_known_by_its_bracket() -> None:
    assert is_batch(b" \r\n\t[1]")
    assert not is_batch(b"{}")
    assert not is_batch(b"")


def test_what_is_wrong_in_a_batch_does_not_spoil_the_rest() -> None:
    good, bad = read_batch(b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2}]')
    assert isinstance(good, Request)
    assert isinstance(bad, ProtocolError)
    assert (bad.code, bad.id) == (INVALID_REQUEST, 2)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", INVALID_REQUEST),
        (b"[" + b",".join([b"1"] * (MAX_BATCH + 1)) + b"]", INVALID_REQUEST),
        (b"[1", PARSE_ERROR),
        (b'["\xff"]', PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
    ],
)
def test_a_batch_that_holds_nothing_readable_is_refused_as_a_whole(body: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_batch(body)
    assert caught.value.code == code


def test_wrong_params_are_named_with_their_path() -> None:
    class Params(Struct):
        cursor: str

    with pytest.raises(ProtocolError, match=r"params of tools/list: .*\$\.cursor") as caught:
        read_params(Raw(b'{"cursor": 5}'), Params, "tools/list")
    assert caught.value.code == INVALID_PARAMS


def test_an_error_says_only_what_it_knows() -> None:
    assert encode_error(ProtocolError(1, "no")) == b'{"jsonrpc":"2.0","error":{"code":1,"message":"no"}}'
    assert msgspec.json.decode(encode_error(ProtocolError(1, "no", data={"a": 1}, id="x"))) == {
        "jsonrpc": "2.0",
        "id": "x",
        "error": {"code": 1, "message": "no", "data": {"a": 1}},
    }
