"""HTTP tools: the request that is sent, the answer that is read, and what neither a caller nor a server can do."""

import gzip
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.stubs import MemorySecrets, StubServer, answer, make_context, stub_server
from toolbox.addresses import AddressPolicy
from toolbox.definitions import ToolDefinition, ToolResult
from toolbox.errors import InvalidDefinition, ToolError
from toolbox.outbound import Outbound
from toolbox.tools import requests
from toolbox.tools.http import HttpKind
from toolbox.tools.urls import UrlTemplate

SECRETS = MemorySecrets(key="s3cr3t-key", user="ann", password="pa:ss wörd", broken="a\r\nb")
OPEN = {"type": "object", "additionalProperties": True}


@pytest.fixture
async def server() -> AsyncIterator[StubServer]:
    async with stub_server() as stub:
        yield stub


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[Outbound]:
    """Connections that may lead to this machine."""
    outbound = Outbound(AddressPolicy(["127.0.0.0/8"]))
    yield outbound
    await outbound.close()


@pytest.fixture(scope="module")
async def guarded() -> AsyncIterator[Outbound]:
    """Connections to public addresses."""
    outbound = Outbound(AddressPolicy())
    yield outbound
    await outbound.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "FIRST_PAUSE_SECONDS", 0.001)


class Caller:
    def __init__(self, pool: Outbound, server: StubServer) -> None:
        self.kind = HttpKind(pool, SECRETS)
        self.server = server

    async def __call__(self, path: str, arguments: dict[str, Any] | None = None, **implementation: Any) -> ToolResult:
        url = path if "://" in path else self.server.url + path
        tool = self.kind.create(
            ToolDefinition(name="tool", input_schema=OPEN), {"kind": "http", "url": url, **implementation}
        )
        return await tool.call(arguments or {}, make_context())


@pytest.fixture
def call(pool: Outbound, server: StubServer) -> Caller:
    return Caller(pool, server)


def request(line: str, *headers: str, body: str = "") -> bytes:
    """What the server is sent, but for the headers that are always the same."""
    return "\r\n".join([f"{line} HTTP/1.1", "Host: 127.0.0.1:PORT", *headers, "", body]).encode()


def sent(server: StubServer) -> bytes:
    same = (b"Accept: ", b"User-Agent: ", b"Accept-Encoding: ")
    head, separator, body = server.last.partition(b"\r\n\r\n")
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(same)) + separator + body


async def test_the_whole_request_is_as_written(call: Caller, server: StubServer) -> None:
    await call("/pets/{id}", {"id": 7})
    from toolbox.version import VERSION

    assert server.last == request(
        "GET /pets/7",
        "Accept: application/json, */*;q=0.5",
        f"User-Agent: ToolBox/{VERSION}",
        "Accept-Encoding: gzip",
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_a_method_without_a_body(call: Caller, server: StubServer, method: str) -> None:
    server.answers = [b"HTTP/1.1 204 No Content\r\n\r\n"]
    assert (await call("/a", method=method)).structured == {"status": 204}
    assert sent(server) == request(f"{method} /a")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_method_whose_body_is_left_out(call: Caller, server: StubServer, method: str) -> None:
    await call("/a", method=method)
    assert sent(server) == request(f"{method} /a", "Content-Length: 0")


@pytest.mark.parametrize(
    ("body", "arguments", "expected"),
    [
        (
            {"type": "json", "value": {"name": "{name}", "more": {"tags": "{tags}", "at": "page {page}"}, "v": 2}},
            {"name": 'a"b', "tags": ["x", 1]},
            ("Content-Type: application/json", '{"name":"a\\"b","more":{"tags":["x",1]},"v":2}'),
        ),
        ({"type": "json", "value": "{body}"}, {"body": None}, ("Content-Type: application/json", "null")),
        (
            {"type": "form", "fields": {"To": "{to}", "Tags": "{tags}", "Gone": "{gone}", "K": "${secret:key}"}},
            {"to": "+1 &=", "tags": ["a", "b"]},
            ("Content-Type: application/x-www-form-urlencoded", "To=%2B1+%26%3D&Tags=a&Tags=b&K=s3cr3t-key"),
        ),
        (
            {"type": "raw", "value": "<x>{text}</x>", "content_type": "application/xml"},
            {"text": "hi"},
            ("Content-Type: application/xml", "<x>hi</x>"),
        ),
        (
            {"type": "raw", "value": "{data}", "content_type": "image/png", "encoding": "base64"},
            {"data": b64encode(b"bytes").decode()},
            ("Content-Type: image/png", "bytes"),
        ),
    ],
)
async def test_a_body_is_sent_byte_for_byte(
    call: Caller, server: StubServer, body: Any, arguments: dict[str, Any], expected: tuple[str, str]
) -> None:
    content_type, text = expected
    await call("/a", arguments, method="POST", body=body)
    assert sent(server) == request("POST /a", content_type, f"Content-Length: {len(text)}", body=text)


async def test_a_form_with_files_is_sent_byte_for_byte(call: Caller, server: StubServer) -> None:
    body = {
        "type": "multipart",
        "fields": {
            "title": "{title}",
            "gone": "{gone}",
            "photo": {"value": "{photo}", "filename": "{name}", "content_type": "image/png", "encoding": "base64"},
        },
    }
    arguments = {"title": "a\r\nb", "photo": b64encode(b"\x89PNG").decode(), "name": 'x"\r\nContent-Type: y'}
    await call("/a", arguments, method="POST", body=body)
    head, _, content = sent(server).partition(b"\r\n\r\n")
    boundary = head.rpartition(b"boundary=")[2].partition(b"\r\n")[0]
    assert content == (
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="title"\r\n\r\na\r\nb\r\n'
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="photo"; filename="x%22%0D%0AContent-Type: y"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--BOUNDARY--\r\n"
    ).replace(b"BOUNDARY", boundary)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "{q}", "none": "{none}"}, "?q=a%20%26b%2F%3D"),
        ({"v": "1", "k": "${secret:key}"}, "?v=1&k=s3cr3t-key"),
        ({"l": "{list}"}, "?l=a%2Cb&l=2"),
        ({"l": {"value": "{list}", "style": "comma"}}, "?l=a%2Cb,2"),
        ({"l": {"value": "{list}", "style": "space"}}, "?l=a%2Cb%202"),
        ({"l": {"value": "{list}", "style": "pipe"}}, "?l=a%2Cb%7C2"),
        ({"l": {"value": "{list}", "style": "json"}}, "?l=%5B%22a%2Cb%22%2C2%5D"),
        ({"o": {"value": "{object}", "style": "deep_object"}}, "?o%5Ba%26%5D=1&o%5Bb%5D=true"),
        ({"o": "{object}"}, "?a%26=1&b=true"),
        ({"o": {"value": "{object}", "style": "comma"}}, "?o=a%26,1,b,true"),
    ],
)
async def test_the_query_is_written_in_every_style(
    call: Caller, server: StubServer, query: dict[str, Any], expected: str
) -> None:
    await call("/a", {"q": "a &b/=", "list": ["a,b", 2], "object": {"a&": 1, "b": True}}, query=query)
    assert sent(server) == request(f"GET /a{expected}")


async def test_headers_and_cookies_are_filled(call: Caller, server: StubServer) -> None:
    await call(
        "/a?fixed=1",
        {"lang": "de", "ids": [1, 2], "session": "a;b"},
        headers={"Accept-Language": "{lang}", "X-Ids": "{ids}", "X-None": "{none}", "accept": "text/csv"},
        cookies={"session": "{session}", "none": "{none}"},
    )
    assert b"accept: text/csv\r\n" in server.last
    assert sent(server) == request(
        "GET /a?fixed=1", "Accept-Language: de", "X-Ids: 1,2", "accept: text/csv", "Cookie: session=a%3Bb"
    )


@pytest.mark.parametrize(
    ("auth", "line", "header"),
    [
        (
            {"type": "basic", "username": "${secret:user}", "password": "${secret:password}"},
            "/a",
            f"Authorization: Basic {b64encode('ann:pa:ss wörd'.encode()).decode()}",
        ),
        ({"type": "bearer", "token": "${secret:key}"}, "/a", "Authorization: Bearer s3cr3t-key"),
        ({"type": "api_key", "in": "header", "name": "X-Key", "value": "${secret:key}"}, "/a", "X-Key: s3cr3t-key"),
        ({"type": "api_key", "in": "query", "name": "key", "value": "${secret:key}"}, "/a?key=s3cr3t-key", None),
        ({"type": "api_key", "in": "cookie", "name": "k", "value": "${secret:key}"}, "/a", "Cookie: k=s3cr3t-key"),
    ],
)
async def test_secrets_say_who_is_calling(
    call: Caller, server: StubServer, auth: dict[str, str], line: str, header: str | None
) -> None:
    await call("/a", auth=auth)
    assert sent(server) == request(f"GET {line}", *([header] if header else []))


async def test_a_token_is_fetched_once_and_again_when_it_is_not_believed(pool: Outbound, server: StubServer) -> None:
    auth = {
        "type": "oauth2_client_credentials",
        "token_url": f"{server.url}/token",
        "client_id": "me",
        "client_secret": "${secret:key}",
        "scopes": ["read", "write"],
    }
    implementation = {"kind": "http", "url": f"{server.url}/a", "auth": auth}
    tool = HttpKind(pool, SECRETS).create(ToolDefinition(name="tool"), implementation)
    token = answer(b'{"access_token": "t0k3n", "expires_in": 3600}')
    server.answers = [token, answer(b"1"), answer(b"2"), answer(b"{}", status="401 Unauthorized"), token, answer(b"3")]
    assert [(await tool.call({}, make_context())).structured for _ in range(2)] == [1, 2]
    with pytest.raises(ToolError, match="answered 401"):
        await tool.call({}, make_context())
    assert (await tool.call({}, make_context())).structured == 3
    assert [one.split(b" HTTP")[0] for one in server.requests] == [
        b"POST /token",
        b"GET /a",
        b"GET /a",
        b"GET /a",
        b"POST /token",
        b"GET /a",
    ]
    assert server.requests[0].endswith(b"grant_type=client_credentials&scope=read%20write")
    assert b"Authorization: Basic " + b64encode(b"me:s3cr3t-key") in server.requests[0]
    assert b"Authorization: Bearer t0k3n" in server.requests[1]


# What comes back.


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (None, {"items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]}),
        ("/items/1/n", "b"),
        ("items[].id", [1, 2]),
        ("", {"items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]}),
    ],
)
async def test_a_part_of_the_answer_is_selected(
    call: Caller, server: StubServer, select: str | None, expected: Any
) -> None:
    server.answers = [answer(b'{"items": [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]}')]
    result = await call("/a", response={"select": select} if select is not None else {})
    assert result.structured == expected


async def test_answers_of_every_type_are_read(call: Caller, server: StubServer) -> None:
    server.answers = [
        answer(b"caf\xe9", content_type="text/plain; charset=latin-1"),
        answer(b"\x89PNG", content_type="image/png"),
        answer(b"\xff\xfe", content_type="application/octet-stream"),
        answer(gzip.compress(b'{"a": 1}'), more="Content-Encoding: gzip\r\n"),
        answer(b"{", content_type="application/problem+json"),
    ]
    assert (await call("/a")).content[0].text == "café"  # type: ignore[union-attr]
    assert (await call("/a")).content[0].mime_type == "image/png"  # type: ignore[union-attr]
    assert (await call("/a")).content[0].resource.blob == b64encode(b"\xff\xfe").decode()  # type: ignore[union-attr]
    assert (await call("/a")).structured == {"a": 1}
    with pytest.raises(ToolError, match="should be JSON"):
        await call("/a")


async def test_an_error_of_the_server_is_told_without_secrets(call: Caller, server: StubServer) -> None:
    server.answers = [answer(b"no pet for s3cr3t-key", status="404 Not Found", content_type="text/plain")]
    with pytest.raises(ToolError, match=r"127.0.0.1 answered 404: no pet for \$\{secret:key\}"):
        await call("/a", headers={"X-Key": "${secret:key}"})
    server.answers = [answer(b'{"you sent": "s3cr3t-key"}')]
    assert (await call("/a", headers={"X-Key": "${secret:key}"})).structured == {"you sent": "${secret:key}"}


async def test_a_request_that_may_be_repeated_is(call: Caller, server: StubServer) -> None:
    server.answers = [
        answer(b"", status="503 Busy", more="Retry-After: 0\r\n"),
        answer(b"", status="429 Slow"),
        answer(b"1"),
    ]
    assert (await call("/a")).structured == 1
    server.answers = [answer(b"", status="503 Busy"), answer(b"1")]
    with pytest.raises(ToolError, match="answered 503"):
        await call("/a", method="POST")
    server.answers = [answer(b"", status="503 Busy"), answer(b"1")]
    with pytest.raises(ToolError, match="answered 503"):
        await call("/a", retries=False)


async def test_a_server_that_hangs_up_is_asked_again(call: Caller, server: StubServer) -> None:
    async def hang_up(writer: Any) -> None:
        writer.close()

    server.answers = [hang_up, hang_up, hang_up]
    with pytest.raises(ToolError, match="does not answer as it should"):
        await call("/a")
    assert len(server.requests) == 3


# What a server cannot do.


async def test_an_answer_without_end_is_not_read(call: Caller, server: StubServer) -> None:
    server.answers = [
        answer(b'"' + b"x" * 2000 + b'"'),
        answer(gzip.compress(b"x" * 10_000_000), more="Content-Encoding: gzip\r\n"),
    ]
    for _ in range(2):
        with pytest.raises(ToolError, match="longer than 1,000 bytes"):
            await call("/a", response={"max_bytes": 1000})


async def test_a_compression_that_nobody_asked_for_is_refused(call: Caller, server: StubServer) -> None:
    server.answers = [answer(b"x", more="Content-Encoding: br\r\n"), answer(b"x", more="Content-Encoding: gzip\r\n")]
    with pytest.raises(ToolError, match="'br'"):
        await call("/a")
    with pytest.raises(ToolError, match="Content-Encoding"):
        await call("/a")


async def test_redirects_within_the_server_are_followed(call: Caller, server: StubServer) -> None:
    moved = "Location: /b?x=1\r\n"
    server.answers = [answer(b"", status="307 Moved", more=moved), answer(b"1")]
    assert (await call("/a", {"n": 1}, method="POST", body={"type": "json", "value": {"n": "{n}"}})).structured == 1
    assert sent(server) == request("POST /b?x=1", "Content-Type: application/json", "Content-Length: 7", body='{"n":1}')
    server.answers = [answer(b"", status="303 See", more=moved), answer(b"2")]
    assert (await call("/a", {"n": 1}, method="POST", body={"type": "json", "value": {"n": "{n}"}})).structured == 2
    assert sent(server) == request("GET /b?x=1")
    server.answers = [answer(b"", status="302 Moved", more="Location: /a\r\n")] * 10
    with pytest.raises(ToolError, match="more than 5 times"):
        await call("/a")


async def test_credentials_and_bodies_do_not_follow_to_another_server(call: Caller, server: StubServer) -> None:
    async with stub_server() as other:
        moved = f"Location: {other.url}/stolen\r\n"
        server.answers = [answer(b"", status="302 Moved", more=moved), answer(b"", status="307 Moved", more=moved)]
        await call(
            "/a",
            headers={"X-Own": "${secret:key}", "X-Open": "1"},
            cookies={"c": "${secret:key}"},
            auth={"type": "bearer", "token": "${secret:key}"},
        )
        assert sent(other) == request("GET /stolen", "X-Open: 1")
        with pytest.raises(ToolError, match="redirects POST to another server"):
            await call("/a", {"x": 1}, method="POST", body={"type": "json", "value": "{x}"})
        assert len(other.requests) == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://a/b", "//[::1", "http://a:99999/", "data:,x"])
async def test_a_redirect_to_no_web_address_is_refused(call: Caller, server: StubServer, location: str) -> None:
    server.answers = [answer(b"", status="302 Moved", more=f"Location: {location}\r\n")]
    with pytest.raises(ToolError, match="redirects to"):
        await call("/a")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fd00:ec2::254]", "[ff02::1]",
        "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]",
        "2130706433", "0x7f.1", "127.1", "017700000001",
    ],
)  # fmt: skip
async def test_addresses_inside_are_refused(guarded: Outbound, host: str) -> None:
    tool = HttpKind(guarded, SECRETS).create(ToolDefinition(name="t"), {"kind": "http", "url": f"http://{host}:9/"})
    with pytest.raises(ToolError, match=r"no public address|cannot be resolved"):
        await tool.call({}, make_context())


async def test_a_redirect_or_another_answer_of_the_name_server_does_not_lead_inside(
    server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that is connected to is looked at, whatever led there."""
    import asyncio
    import socket

    addresses = ["127.0.0.1", "127.0.0.2", "10.0.0.1"]

    async def resolve(_host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses.pop(0), port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    server.answers = [
        answer(b"1", more="Connection: close\r\n"),
        answer(b"", status="302 Moved", more="Location: http://127.0.0.2/\r\n"),
    ]
    url = f"http://api.example:{server.port}/"
    outbound = Outbound(AddressPolicy(["127.0.0.1/32"]))
    tool = HttpKind(outbound, SECRETS).create(ToolDefinition(name="t"), {"kind": "http", "url": url})
    assert (await tool.call({}, make_context())).structured == 1
    with pytest.raises(ToolError, match=r"api.example is at 127.0.0.2, which is no public address"):
        await tool.call({}, make_context())
    addresses.insert(0, "127.0.0.1")
    with pytest.raises(ToolError, match=r"127.0.0.2 is at 127.0.0.2, which is no public address"):
        await tool.call({}, make_context())
    await outbound.close()


def test_public_addresses_and_allowed_networks_pass() -> None:
    import ipaddress

    policy = AddressPolicy(["10.0.0.0/8", "fd00::/8"])
    for allowed in ("93.184.216.34", "2606:2800:220:1::1", "10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert policy.allows(ipaddress.ip_address(allowed)), allowed
    assert not policy.allows(ipaddress.ip_address("192.168.0.1"))


# What a caller cannot do.


@given(st.text())
def test_an_argument_never_leaves_its_segment(text: str) -> None:
    template = UrlTemplate("https://api.example/v1/{a}/x-{a}-y/end?q={a}&r=1")
    try:
        target = template.fill({"a": text}, {})
    except (ToolError, UnicodeEncodeError):
        return
    assert (target.scheme, target.host, target.port) == (b"https", b"api.example", None)
    path, _, query = target.path.partition("?")
    first, v1, whole, part, end = path.split("/")
    assert (first, v1, end) == ("", "v1", "end")
    assert (unquote(whole), unquote(part)) == (text, f"x-{text}-y")
    q, r = query.split("&")
    assert (unquote(q.removeprefix("q=")), r) == (text, "r=1")
    assert target.path.isascii()
    assert target.path.isprintable()
    assert not {" ", "#"} & set(target.path)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "../admin",
        "..\\admin",
        "a/../b",
        "%2e%2e",
        "%2E%2E%2Fadmin",
        "..%2f",
        "%252e%252e",
        "./x",
        "a/..",
    ],
)
async def test_a_step_aside_in_the_path_is_refused(call: Caller, server: StubServer, value: str) -> None:
    with pytest.raises(ToolError, match="would lead to another address"):
        await call("/v1/{id}", {"id": value})
    assert server.requests == []


async def test_a_missing_part_of_the_path_is_named(call: Caller) -> None:
    with pytest.raises(ToolError, match="id: it is part of the address"):
        await call("/v1/{id}", {"id": None})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "a\x7fb"])
async def test_a_line_break_in_a_header_is_refused(call: Caller, server: StubServer, value: str) -> None:
    with pytest.raises(ToolError, match="line break"):
        await call("/a", {"v": value}, headers={"X-V": "{v}"})
    with pytest.raises(ToolError, match="line break"):
        await call("/a", {"v": [value, "x"]}, headers={"X-V": "{v}"})
    assert server.requests == []


async def test_what_is_filled_in_is_no_template(call: Caller, server: StubServer) -> None:
    await call("/a", {"q": "${secret:key} {other}", "other": "x"}, query={"q": "{q}"}, headers={"X-Q": "{q}"})
    assert b"s3cr3t" not in server.last
    assert b"X-Q: ${secret:key} {other}\r\n" in server.last


async def test_a_secret_that_would_break_the_header_is_refused(call: Caller, server: StubServer) -> None:
    with pytest.raises(ToolError, match="line break"):
        await call("/a", auth={"type": "bearer", "token": "${secret:broken}"})
    with pytest.raises(ToolError, match="there is no secret 'gone'"):
        await call("/a", auth={"type": "bearer", "token": "${secret:gone}"})


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"url": "ftp://a/b"}, "implementation/url: an http or https URL"),
        ({"url": "http://{host}/"}, "implementation/url"),
        ({"url": "http://user:pw@a/"}, "implementation/url"),
        ({"url": "http://a{b}.example/"}, "implementation/url"),
        ({"url": "http://${secret:host}/"}, "implementation/url"),
        ({"url": "http://a\n.b/"}, "implementation/url"),
        ({"url": "http://a:99999/"}, "implementation/url"),
        ({"url": "http:///x"}, "implementation/url"),
        ({"url": "http://a/#x"}, "implementation/url"),
        ({"url": "http://a/{b"}, "a single '{'"),
        ({"url": "http://a/{missing}"}, "no argument 'missing'"),
        ({"method": "TRACE"}, "implementation/method"),
        ({"method": "get\r\n"}, "implementation/method"),
        ({"headers": {"Host": "x"}}, "belongs to the connection"),
        ({"headers": {"content-length": "1"}}, "belongs to the connection"),
        ({"headers": {"A\r\nB": "x"}}, "no name of a header"),
        ({"headers": {"": "x"}}, "no name of a header"),
        ({"cookies": {"a=b": "x"}}, "no name of a header"),
        ({"auth": {"type": "bearer", "token": "plain"}}, "toolbox secrets set"),
        ({"auth": {"type": "basic", "username": "${secret:u}", "password": "plain"}}, "toolbox secrets set"),
        ({"auth": {"type": "magic"}}, "implementation/auth"),
        ({"body": {"type": "raw", "value": "x", "content_type": "a/b\r\nX: y"}}, "media type"),
        ({"body": {"type": "json", "value": {"a": "{missing}"}}}, "no argument 'missing'"),
        ({"response": {"select": "a[["}}, "no JMESPath"),
        ({"response": {"select": "(" * 3000}}, "longer than"),
        ({"response": {"max_bytes": 10**10}}, "implementation/response/max_bytes"),
        ({"shell": "rm"}, "there is no field `shell`"),
    ],
)
async def test_a_wrong_definition_is_refused_with_its_path(
    pool: Outbound, changed: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        HttpKind(pool, SECRETS).check(ToolDefinition(name="t"), {"kind": "http", "url": "http://a/", **changed})
    assert complaint in refused.value.message


async def test_an_expression_that_explodes_is_stopped(call: Caller, server: StubServer) -> None:
    server.answers = [answer(json.dumps([0]).encode())]
    with pytest.raises(ToolError, match="too large"):
        await call("/a", response={"select": "|".join(["[@,@]"] * 60)})
