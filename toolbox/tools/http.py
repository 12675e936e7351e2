"""Tools that are a request to an HTTP API: where each argument goes, who is calling, and what of the answer counts.

An argument never leaves its place: not its segment of the path, not its line of the headers, not its field of the
body. The host is the definition's, whatever a caller sends.
"""

import asyncio
import re
import time
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore
import msgspec
import stamina
from msgspec import Meta, Struct

from toolbox.definitions import (
    AudioContent,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    TextContent,
    ToolDefinition,
    ToolResult,
)
from toolbox.errors import InvalidDefinition, SecretUnavailable, ToolError
from toolbox.expressions import Selection
from toolbox.outbound import Outbound
from toolbox.secrets.store import REFERENCE, SecretStore
from toolbox.tools.base import ToolContext
from toolbox.tools.bodies import Body, BodyWriter, Payload, make_body_writer
from toolbox.tools.kinds import Implementation, read_implementation
from toolbox.tools.templates import Template, check_arguments, to_text
from toolbox.version import VERSION

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""RFC 9110, 9.2.2: what may be sent again when nobody knows whether it has arrived."""
TRY_AGAIN = frozenset({429, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
MAX_ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.2
MAX_RETRY_AFTER_SECONDS = 10.0
CONNECT_SECONDS = 10.0
MAX_ERROR_CHARACTERS = 2_000
DEFAULT_RESPONSE_BYTES = 8 * 1024 * 1024

_URL = re.compile(r"(https?)://([A-Za-z0-9._\-:\[\]]+)((?:/[^?#]*)?)((?:\?[^#]*)?)", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t -~\u0080-\U0010ffff]*")
_OWN_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""What belongs to the connection, and not to a tool."""


class Parameter(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a value goes, and how a list or an object is written (OpenAPI 3.1, 4.8.12)."""

    value: str
    style: Literal["repeat", "comma", "space", "pipe", "deep_object", "json"] = "repeat"


class BasicAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="basic"):
    """Name and password (RFC 7617)."""

    username: str
    password: str


class BearerAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="bearer"):
    """A token (RFC 6750)."""

    token: str


class ApiKeyAuth(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="api_key", rename={"place": "in"}
):
    """A key in a header, in the query or in a cookie."""

    place: Literal["header", "query", "cookie"]
    name: str
    value: str


class ClientCredentialsAuth(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="oauth2_client_credentials"
):
    """A token that is fetched with a client's own name and secret (RFC 6749, 4.4), and kept while it is good."""

    token_url: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ()


Auth = BasicAuth | BearerAuth | ApiKeyAuth | ClientCredentialsAuth


class Response(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of the answer counts."""

    select: str | None = None
    """A part of a JSON answer: a JSON Pointer if it begins with `/`, else JMESPath."""
    max_bytes: Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)] = DEFAULT_RESPONSE_BYTES


class HttpImplementation(Implementation, frozen=True, tag_field="kind", tag="http"):
    """A request. Texts are templates: `{argument}`, `${secret:name}`; `{{` and `}}` are braces."""

    url: str
    method: Method = "GET"
    query: Mapping[str, str | Parameter] = {}
    headers: Mapping[str, str | Parameter] = {}
    cookies: Mapping[str, str] = {}
    body: Body | None = None
    auth: Auth | None = None
    """One way to say who is calling; an API that wants several has the others among headers and query."""
    response: Response = Response()
    retries: bool = True
    """Whether an idempotent request is sent again when the server does not answer, or says to try again."""


class HttpKind:
    """The kind "http"."""

    def __init__(self, outbound: Outbound, secrets: SecretStore) -> None:
        self._outbound = outbound
        self._secrets = secrets

    def check(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> None:
        """See Kind."""
        self.create(definition, implementation)

    def create(self, definition: ToolDefinition, implementation: Mapping[str, Any]) -> "HttpTool":
        """See Kind."""
        return HttpTool(
            definition, read_implementation(HttpImplementation, implementation), self._outbound, self._secrets
        )


class _HasNames(Protocol):
    @property
    def arguments(self) -> tuple[str, ...]: ...
    @property
    def secrets(self) -> tuple[str, ...]: ...


class Target(Struct, frozen=True):
    """Where a request goes: an origin, and what stands behind it in the request line."""

    scheme: bytes
    host: bytes
    port: int | None
    path: str

    @property
    def origin(self) -> tuple[bytes, bytes, int | None]:
        """What credentials are for."""
        return self.scheme, self.host, self.port or {b"https": 443, b"http": 80}[self.scheme]


class UrlTemplate:
    """A URL whose path and query may hold arguments and secrets, but never its scheme, host or port."""

    def __init__(self, url: str, where: str = "implementation/url") -> None:
        """Read it.

        Raises:
            InvalidDefinition: It is no such URL.
        """
        found = _URL.fullmatch(url)
        if found is None:
            raise InvalidDefinition(
                f"{where}: an http or https URL is expected, with no argument, user or `#` before or in its host"
            )
        try:
            address = urlsplit(f"{found[1]}://{found[2]}")
            self.port = address.port
            self.host = (address.hostname or "").encode("ascii" if found[2].startswith("[") else "idna")
        except ValueError as error:
            raise InvalidDefinition(f"{where}: the host {found[2][:100]!r} is none: {error}") from error
        if not self.host:
            raise InvalidDefinition(f"{where}: it names no host")
        self.scheme = found[1].lower().encode()
        self._segments = [Template(segment, where) for segment in (found[3] or "/").split("/")]
        self._query = Template(found[4].removeprefix("?"), where)
        templates = [*self._segments, self._query]
        self.arguments = tuple(name for template in templates for name in template.arguments)
        self.secrets = tuple(name for template in templates for name in template.secrets)

    def fill(self, arguments: Mapping[str, Any], secrets: Mapping[str, str], query: Sequence[str] = ()) -> Target:
        """The URL for a call, with further parts of the query.

        Raises:
            ToolError: An argument would lead out of its segment, or is missing.
        """
        segments = [_fill_segment(template, arguments, secrets) for template in self._segments]
        own = self._query.fill(arguments, secrets, _encode, _encode_literal)
        joined = "&".join(part for part in (own, *query) if part)
        return Target(self.scheme, self.host, self.port, "/".join(segments) + (f"?{joined}" if joined else ""))


class HttpTool:
    """A tool that sends one request."""

    def __init__(
        self,
        definition: ToolDefinition,
        implementation: HttpImplementation,
        outbound: Outbound,
        secrets: SecretStore,
    ) -> None:
        """Read everything that is the same for all calls.

        Raises:
            InvalidDefinition: The implementation cannot be used.
        """
        self.definition = definition
        self.concurrency = implementation.concurrency
        self._implementation = implementation
        self._outbound = outbound
        self._store = secrets
        self._url = UrlTemplate(implementation.url)
        self._query = {name: _read_parameter(given, f"query/{name}") for name, given in implementation.query.items()}
        self._headers = {
            _check_header_name(name): _read_parameter(given, f"headers/{name}")
            for name, given in implementation.headers.items()
        }
        self._cookies = {
            _check_header_name(name): Template(given, f"implementation/cookies/{name}")
            for name, given in implementation.cookies.items()
        }
        self._body: BodyWriter | None = make_body_writer(implementation.body) if implementation.body else None
        self._auth = _make_authenticator(implementation.auth, outbound, secrets)
        select = implementation.response.select
        self._selection = None if select is None else Selection(select, "implementation/response/select")
        parts = [template for template, _ in (*self._query.values(), *self._headers.values())]
        parts += self._cookies.values()
        named: list[_HasNames] = [self._url, *parts, *([self._body] if self._body else [])]
        check_arguments(definition, (name for part in named for name in part.arguments))
        self._secrets = tuple(dict.fromkeys(name for part in named for name in part.secrets))

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        """Send the request, and read the answer."""
        try:
            secrets = {name: await self._store.get(name) for name in self._secrets}
            headers, query = await self._auth.authenticate(context)
        except SecretUnavailable as error:
            raise ToolError(error.message) from error
        request = self._build(arguments, secrets, headers, query)
        try:
            status, answer_headers, content = await self._send(request, context)
        except ToolError as error:
            raise ToolError(await self._hide(str(error))) from error.__cause__
        if status >= 400:
            if status == 401:
                self._auth.forget()
            raise ToolError(await self._hide(_describe_failure(request.target, status, answer_headers, content)))
        return await self._to_result(status, answer_headers, content)

    def _build(
        self,
        arguments: Mapping[str, Any],
        secrets: Mapping[str, str],
        auth: Mapping[str, str],
        auth_query: Sequence[str],
    ) -> "_Request":
        query = [part for name, given in self._query.items() for part in _write_query(name, given, arguments, secrets)]
        payload = self._body.write(arguments, secrets) if self._body else None
        headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": f"ToolBox/{VERSION}"}
        private = {name.lower() for name in auth}
        for name, given in self._headers.items():
            if given[0].is_given(arguments):
                headers = {known: value for known, value in headers.items() if known.lower() != name.lower()}
                headers[name] = _write_header(name, given, arguments, secrets)
                if given[0].secrets:
                    private.add(name.lower())
        cookies = [
            f"{name}={template.fill(arguments, secrets, _encode)}"
            for name, template in self._cookies.items()
            if template.is_given(arguments)
        ]
        headers |= {name: value for name, value in auth.items() if name != "Cookie"}
        cookies += [auth["Cookie"]] if "Cookie" in auth else []
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
            private.add("cookie")
        if payload and payload.content_type:
            headers.setdefault("Content-Type", payload.content_type)
        target = self._url.fill(arguments, secrets, [*query, *auth_query])
        return _Request(self._implementation.method, target, headers, frozenset(private), payload)

    async def _send(self, request: "_Request", context: ToolContext) -> tuple[int, dict[str, str], bytes]:
        may_repeat = self._implementation.retries and request.method in IDEMPOTENT
        attempts = MAX_ATTEMPTS if may_repeat else 1
        again = stamina.retry_context(
            on=_TryAgain,
            attempts=attempts,
            timeout=None,
            wait_initial=FIRST_PAUSE_SECONDS,
            wait_jitter=FIRST_PAUSE_SECONDS,
        )
        async for attempt in again:
            with attempt:
                try:
                    found = await self._follow(request, context)
                except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                    raise _TryAgain(_describe_error(request.target, error)) from error
                if found[0] in TRY_AGAIN and attempt.num < attempts:
                    await asyncio.sleep(_read_retry_after(found[1]))
                    raise _TryAgain(f"the server answered {found[0]}")
                return found
        raise AssertionError("unreachable")  # the last attempt returns or raises

    async def _follow(self, request: "_Request", context: ToolContext) -> tuple[int, dict[str, str], bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            status, headers, content = await exchange(
                self._outbound.pool, request, self._implementation.response.max_bytes, context.timeout_seconds
            )
            if status not in REDIRECTS or "location" not in headers:
                return status, headers, content
            request = _redirect(request, status, headers["location"])
        raise ToolError(f"it redirects more than {MAX_REDIRECTS} times")

    async def _to_result(self, status: int, headers: Mapping[str, str], content: bytes) -> ToolResult:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not content:
            shown: dict[str, Any] = {"status": status}
            if "location" in headers:
                shown["location"] = await self._hide(headers["location"])
            return ToolResult.of(shown)
        if _is_json(kind) or self._selection:
            return await self._read_json(content)
        if kind.startswith(("image/", "audio/")):
            data = b64encode(content).decode()
            return ToolResult((ImageContent(data, kind) if kind.startswith("image/") else AudioContent(data, kind),))
        charset = re.search(r"charset=\"?([A-Za-z0-9_.:-]+)", headers.get("content-type", ""), re.IGNORECASE)
        try:
            text = content.decode(charset[1] if charset else "utf-8")
        except (LookupError, UnicodeDecodeError):
            blob = b64encode(content).decode()
            resource = ResourceContents("urn:toolbox:answer", kind or "application/octet-stream", blob=blob)
            return ToolResult((EmbeddedResource(resource),))
        return ToolResult((TextContent(await self._hide(text)),))

    async def _read_json(self, content: bytes) -> ToolResult:
        try:
            value = msgspec.json.decode(await self._hide_bytes(content))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ToolError(f"the answer should be JSON and is not: {error!s:.200}") from error
        return ToolResult.of(self._selection.select(value) if self._selection else value)

    async def _hide(self, text: str) -> str:
        return await self._store.hide(text, (*self._secrets, *self._auth.secrets))

    async def _hide_bytes(self, content: bytes) -> bytes:
        names = (*self._secrets, *self._auth.secrets)
        if not names:
            return content
        hidden = await self._store.hide(content.decode("utf-8", "surrogateescape"), names)
        return hidden.encode("utf-8", "surrogateescape")


class _Request(Struct, frozen=True):
    method: str
    target: Target
    headers: dict[str, str]
    private: frozenset[str]
    """Lower names of headers that hold secrets: they do not travel to another origin."""
    payload: Payload | None


class _TryAgain(ToolError):
    """It failed in a way that may pass."""


async def exchange(
    pool: httpcore.AsyncConnectionPool, request: _Request, max_bytes: int, timeout_seconds: float
) -> tuple[int, dict[str, str], bytes]:
    """Send a request once; gives back status, headers (lower names) and the decoded body.

    Raises:
        ToolError: The answer is too long, or compressed in a way that was not asked for.
    """
    target, payload = request.target, request.payload
    headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in request.headers.items()]
    headers.append((b"Accept-Encoding", b"gzip"))
    limits = {"connect": CONNECT_SECONDS, "pool": timeout_seconds, "read": timeout_seconds, "write": timeout_seconds}
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path.encode("ascii"))
    content = payload.content if payload else (b"" if request.method in {"POST", "PUT", "PATCH"} else None)
    sending = pool.stream(request.method, url, headers=headers, content=content, extensions={"timeout": limits})
    async with sending as response:
        answered = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        chunks, size = [], 0
        async for chunk in _decode(response.aiter_stream(), answered.get("content-encoding", "identity"), max_bytes):
            size += len(chunk)
            if size > max_bytes:
                raise ToolError(f"the answer is longer than {max_bytes:,} bytes")
            chunks.append(chunk)
        return response.status, answered, b"".join(chunks)


async def _decode(stream: AsyncIterator[bytes], encoding: str, max_bytes: int) -> AsyncIterator[bytes]:
    """Inflate by and by: a few bytes may stand for gigabytes."""
    if encoding.strip().lower() in {"identity", ""}:
        async for chunk in stream:
            yield chunk
        return
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise ToolError(f"the answer is compressed with {encoding[:50]!r}, which was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        async for chunk in stream:
            yield inflate.decompress(chunk, max_bytes + 1)
            if inflate.unconsumed_tail:
                raise ToolError(f"the answer is longer than {max_bytes:,} bytes")
        if not inflate.eof:
            raise ToolError("the answer ends in the middle of what its Content-Encoding compresses")
    except zlib.error as error:
        raise ToolError(f"the answer is not what its Content-Encoding says: {error}") from error


def _redirect(request: _Request, status: int, location: str) -> _Request:
    """Where the server sends us. Credentials stay with their origin, and a body is not sent to another one."""
    target = request.target
    port = f":{target.port}" if target.port else ""
    host = target.host.decode()
    base = f"{target.scheme.decode()}://{f'[{host}]' if ':' in host else host}{port}{target.path}"
    try:
        parts = urlsplit(urljoin(base, location))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ToolError(f"it redirects to {location[:200]!r}, which is no http or https URL")
        port_number, name = parts.port, parts.hostname.encode("idna" if ":" not in parts.hostname else "ascii")
    except ValueError as error:
        raise ToolError(f"it redirects to {location[:200]!r}, which is no URL") from error
    path = quote(parts.path or "/", safe=_LITERAL)
    if parts.query:
        path += f"?{quote(parts.query, safe=_LITERAL + '?')}"
    moved = Target(parts.scheme.encode(), name, port_number, path)
    becomes_get = status == 303 or (status in {301, 302} and request.method == "POST")
    method = "GET" if becomes_get and request.method != "HEAD" else request.method
    payload = None if becomes_get else request.payload
    headers = request.headers
    if moved.origin != target.origin:
        if payload is not None or method not in {"GET", "HEAD"}:
            raise ToolError(f"it redirects {method} to another server, {parts.scheme}://{parts.netloc[:200]}")
        headers = {key: value for key, value in headers.items() if key.lower() not in request.private}
    if payload is None:
        headers = {key: value for key, value in headers.items() if key.lower() != "content-type"}
    return _Request(method, moved, headers, request.private, payload)


_LITERAL = "/:@!$&'()*+,;=-._~%"


def _encode(text: str) -> str:
    return quote(text, safe="")


def _encode_literal(text: str) -> str:
    return quote(text, safe=_LITERAL + "?")


def _fill_segment(template: Template, arguments: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    filled = template.fill(arguments, secrets, _encode, _encode_literal)
    if not template.arguments and not template.secrets:
        return filled
    missing = [name for name in template.arguments if arguments.get(name) is None]
    if missing:
        raise ToolError(f"{missing[0]}: it is part of the address, and cannot be left out")
    # Servers that decode twice, or take %2F and \ for separators, must find no step up or aside either.
    text, seen = filled, ""
    while text != seen:
        text, seen = unquote(text), text
    if not filled or any(piece in {".", ".."} for piece in re.split(r"[/\\]", text)):
        names = ", ".join(template.arguments)
        raise ToolError(
            f"{names}: it is empty, `.` or `..`, or has such a step in it, and would lead to another address"
        )
    return filled


def _read_parameter(given: str | Parameter, where: str) -> tuple[Template, str]:
    parameter = Parameter(given) if isinstance(given, str) else given
    return Template(parameter.value, f"implementation/{where}"), parameter.style


def _check_header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidDefinition(f"implementation/headers/{name[:100]!r}: this is no name of a header")
    if name.lower() in _OWN_HEADERS:
        raise InvalidDefinition(f"implementation/headers/{name}: it belongs to the connection, not to a tool")
    return name


def _write_header(
    name: str, given: tuple[Template, str], arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> str:
    template, style = given
    value = arguments.get(template.only_argument) if template.only_argument else None
    if isinstance(value, list) and style != "json":
        text = ",".join(map(to_text, value))
    else:
        text = template.fill(arguments, secrets)
    return check_header_value(name, text)


def check_header_value(name: str, text: str) -> str:
    """A value for a header.

    Raises:
        ToolError: It holds a line break or another control character.
    """
    if not _HEADER_VALUE.fullmatch(text):
        raise ToolError(f"the header {name} would hold a line break or another control character")
    return text.strip(" \t")


def _write_query(
    name: str, given: tuple[Template, str], arguments: Mapping[str, Any], secrets: Mapping[str, str]
) -> Iterator[str]:
    template, style = given
    if not template.is_given(arguments):
        return
    key = _encode(name)
    value = arguments[template.only_argument] if template.only_argument else None
    if not isinstance(value, list | dict):
        yield f"{key}={template.fill(arguments, secrets, _encode, _encode)}"
    elif style == "json":
        yield f"{key}={_encode(msgspec.json.encode(value).decode())}"
    elif style == "deep_object" and isinstance(value, dict):
        for member, part in value.items():
            yield f"{key}%5B{_encode(member)}%5D={_encode(to_text(part))}"
    elif isinstance(value, dict):
        pairs = [(_encode(member), _encode(to_text(part))) for member, part in value.items()]
        if style == "repeat":
            yield from (f"{member}={part}" for member, part in pairs)
        else:
            yield f"{key}={','.join(f'{member},{part}' for member, part in pairs)}"
    elif style in {"repeat", "deep_object"}:
        yield from (f"{key}={_encode(to_text(part))}" for part in value)
    else:
        separator = {"comma": ",", "space": "%20", "pipe": "%7C"}[style]
        yield f"{key}={separator.join(_encode(to_text(part)) for part in value)}"


def _is_json(media_type: str) -> bool:
    return media_type in {"application/json", "text/json"} or media_type.endswith("+json")


def _read_retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; a date is not worth the trouble."""
    given = headers.get("retry-after", "")
    return min(float(given), MAX_RETRY_AFTER_SECONDS) if given.isdigit() else 0.0


def _describe_error(target: Target, error: Exception) -> str:
    what = str(error) or type(error).__name__
    return f"{target.host.decode()} does not answer as it should: {what:.300}"


def _describe_failure(target: Target, status: int, headers: Mapping[str, str], content: bytes) -> str:
    said = content[: 4 * MAX_ERROR_CHARACTERS].decode("utf-8", "replace")[:MAX_ERROR_CHARACTERS].strip()
    is_text = not headers.get("content-type", "text/").startswith(("image/", "audio/", "video/", "application/octet"))
    return f"{target.host.decode()} answered {status}" + (f": {said}" if said and is_text else "")


class _Authenticator:
    """Says who is calling: headers, and parts of the query."""

    secrets: tuple[str, ...] = ()

    async def authenticate(self, _context: ToolContext) -> tuple[dict[str, str], list[str]]:
        """What goes into the request.

        Raises:
            SecretUnavailable: A secret is missing.
            ToolError: No token could be got.
        """
        return {}, []

    def forget(self) -> None:
        """The server did not believe it."""


class _Static(_Authenticator):
    def __init__(self, auth: BasicAuth | BearerAuth | ApiKeyAuth, store: SecretStore) -> None:
        if isinstance(auth, BasicAuth):
            texts = (auth.username, auth.password)
        else:
            texts = ("", auth.token if isinstance(auth, BearerAuth) else auth.value)
        _require_reference(texts[-1])
        self.secrets = tuple(dict.fromkeys(name for text in texts for name in REFERENCE.findall(text)))
        self._auth = auth
        self._store = store

    async def authenticate(self, _context: ToolContext) -> tuple[dict[str, str], list[str]]:
        auth, resolve = self._auth, self._store.resolve
        if isinstance(auth, BasicAuth):
            credentials = f"{await resolve(auth.username)}:{await resolve(auth.password)}"
            return {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}, []
        if isinstance(auth, BearerAuth):
            return {"Authorization": check_header_value("Authorization", f"Bearer {await resolve(auth.token)}")}, []
        value = await resolve(auth.value)
        if auth.place == "query":
            return {}, [f"{_encode(auth.name)}={_encode(value)}"]
        if auth.place == "cookie":
            return {"Cookie": f"{auth.name}={_encode(value)}"}, []
        return {auth.name: check_header_value(auth.name, value)}, []


class _ClientCredentials(_Authenticator):
    def __init__(self, auth: ClientCredentialsAuth, outbound: Outbound, store: SecretStore) -> None:
        _require_reference(auth.client_secret)
        self.secrets = tuple(dict.fromkeys(REFERENCE.findall(auth.client_id) + REFERENCE.findall(auth.client_secret)))
        self._auth = auth
        self._url = UrlTemplate(auth.token_url, "implementation/auth/token_url")
        self._outbound = outbound
        self._store = store
        self._token = ""
        self._good_until = 0.0
        self._fetching = asyncio.Lock()

    async def authenticate(self, context: ToolContext) -> tuple[dict[str, str], list[str]]:
        async with self._fetching:
            if time.monotonic() >= self._good_until:
                await self._fetch(context)
        return {"Authorization": check_header_value("Authorization", f"Bearer {self._token}")}, []

    def forget(self) -> None:
        self._good_until = 0.0

    async def _fetch(self, context: ToolContext) -> None:
        resolve = self._store.resolve
        pair = [_encode(await resolve(text)) for text in (self._auth.client_id, self._auth.client_secret)]
        fields = "grant_type=client_credentials"
        if self._auth.scopes:
            fields += f"&scope={_encode(' '.join(self._auth.scopes))}"
        headers = {
            "Authorization": f"Basic {b64encode(':'.join(pair).encode()).decode()}",
            "Accept": "application/json",
        }
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        payload = Payload(fields.encode(), None)
        request = _Request("POST", self._url.fill({}, {}), headers, frozenset({"authorization"}), payload)
        try:
            status, _, content = await exchange(self._outbound.pool, request, 1024 * 1024, context.timeout_seconds)
            answer = msgspec.json.decode(content, type=_Token)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ToolError(f"no token: {_describe_error(request.target, error)}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ToolError(f"no token: {request.target.host.decode()} answered with something else") from error
        if status >= 400 or not answer.access_token:
            raise ToolError(f"no token: {request.target.host.decode()} answered {status} {answer.error[:100]}".strip())
        self._token = answer.access_token
        self._good_until = time.monotonic() + max(answer.expires_in - 30, 1)


class _Token(Struct, frozen=True):
    access_token: str = ""
    expires_in: float = 300
    error: str = ""


def _require_reference(text: str) -> None:
    if not REFERENCE.search(text):
        raise InvalidDefinition(
            "implementation/auth: a password, token or key is not written here: keep it with `toolbox secrets set`, "
            "and name it as ${secret:name}"
        )


def _make_authenticator(auth: Auth | None, outbound: Outbound, store: SecretStore) -> _Authenticator:
    if auth is None:
        return _Authenticator()
    if isinstance(auth, ClientCredentialsAuth):
        return _ClientCredentials(auth, outbound, store)
    if isinstance(auth, ApiKeyAuth) and auth.place != "query":
        _check_header_name(auth.name)
    return _Static(auth, store)
