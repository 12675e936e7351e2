"""Reading the head of a request."""

import pytest

from toolbox.mcp.http import Head, decode_value, read_head


def test_values_come_without_the_blanks_around_them() -> None:
    head = read_head(
        [
            (b"host", b"localhost:8000"),
            (b"mcp-protocol-version", b" 2026-07-28\t"),
            (b"mcp-method", b"tools/call"),
            (b"mcp-name", b" add "),
            (b"mcp-param-region", b" eu "),
            (b"x-other", b"\xff"),
        ]
    )
    assert head == Head(
        host="localhost:8000", version="2026-07-28", method="tools/call", name="add", parameters={"region": "eu"}
    )


def test_headers_of_mcp_that_come_twice_are_reported() -> None:
    twice = [(b"mcp-method", b"a"), (b"mcp-method", b"a"), (b"mcp-param-x", b"1"), (b"mcp-param-x", b"1")]
    assert read_head(twice).repeated == ("mcp-method", "mcp-param-x")


def test_accept_may_be_spread_over_several_headers() -> None:
    assert read_head([(b"accept", b"text/html"), (b"accept", b"application/json")]).accepts_json
    assert read_head([(b"accept", b"text/html"), (b"accept", b"application/json")]).repeated == ()


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        (None, True),
        ("*/*", True),
        ("application/*", True),
        ("application/json", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream;q=0.5, Application/JSON; q=0.1", True),
        ("text/event-stream", False),
        ("text/html", False),
        ("", False),
    ],
)
def test_json_must_be_among_what_the_client_accepts(accept: str | None, accepted: bool) -> None:
    assert Head(accept=accept).accepts_json is accepted


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("application/json-seq", False),
        (None, False),
    ],
)
def test_only_a_body_announced_as_json_counts_as_json(content_type: str | None, is_json: bool) -> None:
    assert Head(content_type=content_type).has_json is is_json


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("plain", "plain"),
        ("=?base64?w6TDtsO8?=", "äöü"),
        ("=?base64??=", ""),
        ("=?base64?w6TDtsO8", "=?base64?w6TDtsO8"),
        ("w6TDtsO8?=", "w6TDtsO8?="),
        ("=?BASE64?w6TDtsO8?=", "=?BASE64?w6TDtsO8?="),
        ("=?base64?w6TDtsO?=", None),
        ("=?base64?w6T*tsO8?=", None),
        ("=?base64?/w==?=", None),
    ],
)
def test_values_may_be_written_in_base64(value: str, decoded: str | None) -> None:
    assert decode_value(value) == decoded
