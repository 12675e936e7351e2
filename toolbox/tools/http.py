"""Tools that are a request to an HTTP API: where each argument goes, who is calling, and what of the answer counts.

An argument never leaves its place: not its segment of the path, not its line of the headers, not its field of the
body. The host is the definition's, whatever a caller sends.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
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
from toolbox.errors import SecretUnavailable, ToolError
from toolbox.expressions import Selection
from toolbox.outbound import Outbound
from toolbox.secrets.store import SecretStore
from toolbox.tools.base import ToolContext
from toolbox.tools.bodies import Body, BodyWriter, make_body_writer
from toolbox.tools.http_auth import Auth, make_authenticator
from toolbox.tools.kinds import Implementation, read_implementation
from toolbox.tools.parameters import Parameter, check_header_name, read_parameter, write_header, write_query
from toolbox.tools.requests import Answer, Request, send
from toolbox.tools.templates import Template, check_arguments
from toolbox.tools.urls import Target, UrlTemplate, encode
from toolbox.version import VERSION

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
MAX_ERROR_CHARACTERS = 2_000
DEFAULT_RESPONSE_BYTES = 8 * 1024 * 1024


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
        self._query = {name: read_parameter(given, f"query/{name}") for name, given in implementation.query.items()}
        self._headers = {
            check_header_name(name): read_parameter(given, f"headers/{name}")
            for name, given in implementation.headers.items()
        }
        self._cookies = {
            check_header_name(name): Template(given, f"implementation/cookies/{name}")
            for name, given in implementation.cookies.items()
        }
        self._body: BodyWriter | None = make_body_writer(implementation.body) if implementation.body else None
        self._auth = make_authenticator(implementation.auth, outbound, secrets)
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
            secrets = {name: await self._store.get(name, context.toolset) for name in self._secrets}
            headers, query = await self._auth.authenticate(context)
        except SecretUnavailable as error:
            raise ToolError(error.message) from error
        request = self._build(arguments, secrets, headers, query)
        given = self._implementation
        try:
            answer = await send(
                self._outbound.pool,
                request,
                max_bytes=given.response.max_bytes,
                timeout_seconds=context.timeout_seconds,
                may_repeat=given.retries,
            )
        except ToolError as error:
            raise ToolError(await self._hide(str(error), context)) from error.__cause__
        if answer.status >= 400:
            if answer.status == 401:
                self._auth.forget(context)
            raise ToolError(await self._hide(_describe_failure(request.target, answer), context))
        return await self._to_result(answer, context)

    def _build(
        self,
        arguments: Mapping[str, Any],
        secrets: Mapping[str, str],
        auth: Mapping[str, str],
        auth_query: Sequence[str],
    ) -> Request:
        query = [part for name, given in self._query.items() for part in write_query(name, given, arguments, secrets)]
        payload = self._body.write(arguments, secrets) if self._body else None
        headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": f"ToolBox/{VERSION}"}
        private = {name.lower() for name in auth}
        for name, given in self._headers.items():
            if given[0].is_given(arguments):
                headers = {known: value for known, value in headers.items() if known.lower() != name.lower()}
                headers[name] = write_header(name, given, arguments, secrets)
                if given[0].secrets:
                    private.add(name.lower())
        cookies = [
            f"{name}={template.fill(arguments, secrets, encode)}"
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
        return Request(self._implementation.method, target, headers, frozenset(private), payload)

    async def _to_result(self, answer: Answer, context: ToolContext) -> ToolResult:
        headers, content = answer.headers, answer.content
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not content:
            shown: dict[str, Any] = {"status": answer.status}
            if "location" in headers:
                shown["location"] = await self._hide(headers["location"], context)
            return ToolResult.of(shown)
        if _is_json(kind) or self._selection:
            return await self._read_json(content, context)
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
        return ToolResult((TextContent(await self._hide(text, context)),))

    async def _read_json(self, content: bytes, context: ToolContext) -> ToolResult:
        try:
            value = msgspec.json.decode(await self._hide_bytes(content, context))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ToolError(f"the answer should be JSON and is not: {error!s:.200}") from error
        return ToolResult.of(self._selection.select(value) if self._selection else value)

    async def _hide(self, text: str, context: ToolContext) -> str:
        return await self._store.hide(text, (*self._secrets, *self._auth.secrets), context.toolset)

    async def _hide_bytes(self, content: bytes, context: ToolContext) -> bytes:
        if not self._secrets and not self._auth.secrets:
            return content
        hidden = await self._hide(content.decode("utf-8", "surrogateescape"), context)
        return hidden.encode("utf-8", "surrogateescape")


def _is_json(media_type: str) -> bool:
    return media_type in {"application/json", "text/json"} or media_type.endswith("+json")


def _describe_failure(target: Target, answer: Answer) -> str:
    said = answer.content[: 4 * MAX_ERROR_CHARACTERS].decode("utf-8", "replace")[:MAX_ERROR_CHARACTERS].strip()
    kind = answer.headers.get("content-type", "text/")
    is_text = not kind.startswith(("image/", "audio/", "video/", "application/octet"))
    return f"{target.host.decode()} answered {answer.status}" + (f": {said}" if said and is_text else "")
