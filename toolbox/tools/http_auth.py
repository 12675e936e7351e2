"""How an HTTP tool says who is calling: name and password, a token, a key, or a token that it fetches and keeps."""

import asyncio
import time
from base64 import b64encode
from functools import partial
from typing import Literal

import httpcore
import msgspec
from msgspec import Struct

from toolbox.errors import InvalidDefinition, ToolError
from toolbox.outbound import Outbound
from toolbox.secrets.store import REFERENCE, SecretStore
from toolbox.tools.base import ToolContext
from toolbox.tools.bodies import Payload
from toolbox.tools.parameters import check_header_name, check_header_value
from toolbox.tools.requests import Request, describe_error, exchange
from toolbox.tools.urls import UrlTemplate, encode


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


class Authenticator:
    """Says nothing of who is calling; others say it in headers, and in parts of the query."""

    secrets: tuple[str, ...] = ()

    async def authenticate(self, _context: ToolContext) -> tuple[dict[str, str], list[str]]:
        """What goes into the request.

        Raises:
            SecretUnavailable: A secret is missing.
            ToolError: No token could be got.
        """
        return {}, []

    def forget(self, _context: ToolContext) -> None:
        """The server did not believe it."""


class _Static(Authenticator):
    def __init__(self, auth: BasicAuth | BearerAuth | ApiKeyAuth, store: SecretStore) -> None:
        if isinstance(auth, BasicAuth):
            texts = (auth.username, auth.password)
        else:
            texts = ("", auth.token if isinstance(auth, BearerAuth) else auth.value)
        _require_reference(texts[-1])
        self.secrets = tuple(dict.fromkeys(name for text in texts for name in REFERENCE.findall(text)))
        self._auth = auth
        self._store = store

    async def authenticate(self, context: ToolContext) -> tuple[dict[str, str], list[str]]:
        auth, resolve = self._auth, partial(self._store.resolve, toolset=context.toolset)
        if isinstance(auth, BasicAuth):
            credentials = f"{await resolve(auth.username)}:{await resolve(auth.password)}"
            return {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}, []
        if isinstance(auth, BearerAuth):
            return {"Authorization": check_header_value("Authorization", f"Bearer {await resolve(auth.token)}")}, []
        value = await resolve(auth.value)
        if auth.place == "query":
            return {}, [f"{encode(auth.name)}={encode(value)}"]
        if auth.place == "cookie":
            return {"Cookie": f"{auth.name}={encode(value)}"}, []
        return {auth.name: check_header_value(auth.name, value)}, []


class _ClientCredentials(Authenticator):
    def __init__(self, auth: ClientCredentialsAuth, outbound: Outbound, store: SecretStore) -> None:
        _require_reference(auth.client_secret)
        self.secrets = tuple(dict.fromkeys(REFERENCE.findall(auth.client_id) + REFERENCE.findall(auth.client_secret)))
        self._auth = auth
        self._url = UrlTemplate(auth.token_url, "implementation/auth/token_url")
        self._outbound = outbound
        self._store = store
        self._tokens = dict[str | None, tuple[str, float]]()
        """By toolset, as each may have its own secrets: the token, and until when it is good."""
        self._fetching = asyncio.Lock()

    async def authenticate(self, context: ToolContext) -> tuple[dict[str, str], list[str]]:
        async with self._fetching:
            token, good_until = self._tokens.get(context.toolset, ("", 0.0))
            if time.monotonic() >= good_until:
                token = await self._fetch(context)
        return {"Authorization": check_header_value("Authorization", f"Bearer {token}")}, []

    def forget(self, context: ToolContext) -> None:
        self._tokens.pop(context.toolset, None)

    async def _fetch(self, context: ToolContext) -> str:
        resolve = partial(self._store.resolve, toolset=context.toolset)
        pair = [encode(await resolve(text)) for text in (self._auth.client_id, self._auth.client_secret)]
        fields = "grant_type=client_credentials"
        if self._auth.scopes:
            fields += f"&scope={encode(' '.join(self._auth.scopes))}"
        headers = {
            "Authorization": f"Basic {b64encode(':'.join(pair).encode()).decode()}",
            "Accept": "application/json",
        }
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        payload = Payload(fields.encode(), None)
        request = Request("POST", self._url.fill({}, {}), headers, frozenset({"authorization"}), payload)
        try:
            answer = await exchange(self._outbound.pool, request, 1024 * 1024, context.timeout_seconds)
            token = msgspec.json.decode(answer.content, type=_Token)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ToolError(f"no token: {describe_error(request.target, error)}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ToolError(f"no token: {request.target.host.decode()} answered with something else") from error
        if answer.status >= 400 or not token.access_token:
            said = f"{request.target.host.decode()} answered {answer.status} {token.error[:100]}"
            raise ToolError(f"no token: {said}".strip())
        self._tokens[context.toolset] = token.access_token, time.monotonic() + max(token.expires_in - 30, 1)
        return token.access_token


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


def make_authenticator(auth: Auth | None, outbound: Outbound, store: SecretStore) -> Authenticator:
    """What authenticates the requests of a tool.

    Raises:
        InvalidDefinition: A secret is written out, or a header has no name.
    """
    if auth is None:
        return Authenticator()
    if isinstance(auth, ClientCredentialsAuth):
        return _ClientCredentials(auth, outbound, store)
    if isinstance(auth, ApiKeyAuth) and auth.place != "query":
        check_header_name(auth.name)
    return _Static(auth, store)
