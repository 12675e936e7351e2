"""Tokens of a real authorization server, a small one, over HTTP: its keys are rotated while the test runs."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.auth.conftest import ask, shout, showing
from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.auth import jwks
from toolbox.errors import SettingsError, Unauthenticated
from toolbox.settings import Secret, Settings, refuse_contradictions

Client = AsyncTestClient[Any]
AUDIENCE = "https://tools.example.com"


class AuthorizationServer:
    """Issues tokens, and shows its public keys."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.asked = 0
        self.rotate()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                body = json.dumps({"keys": [key.as_dict(private=False) for key in server.keys]}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def rotate(self) -> None:
        """Go on with another key."""
        number = len(self.keys)
        make = ECKey.generate_key if number % 2 else RSAKey.generate_key
        self.keys = [make(*(("P-256",) if number % 2 else (2048,)), parameters={"kid": f"k{time.monotonic_ns()}"})]

    def issue(self, **claims: Any) -> str:
        """A token; `claims` are those that are unlike an ordinary one's."""
        key = self.keys[0]
        given = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": f"{AUDIENCE}/mcp",
            "exp": time.time() + 600,
            "scope": "tools:read tools:call",
        } | claims
        algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
        return jwt.encode({"alg": algorithm, "kid": key.kid}, given, key)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[AuthorizationServer]:
    server = AuthorizationServer()
    yield server
    server.close()


@pytest.fixture
def settings(database_url: str, issuer: AuthorizationServer) -> Settings:
    return Settings(
        database_url=Secret(database_url),
        public_url=AUDIENCE,
        rate_limit_enabled=False,
        jwt_issuer=issuer.issuer,
        jwt_jwks_url=f"{issuer.issuer}/jwks",
    )


@pytest.fixture
async def client(settings: Settings, make_plugins: Callable[..., Any]) -> AsyncIterator[Client]:
    async with AsyncTestClient(create_app(settings, make_plugins(demo=[shout])), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


async def status(client: Client, token: str) -> int:
    return (await client.get("/categories", headers=showing(token))).status_code


async def test_a_token_lets_its_subject_in(
    client: Client, issuer: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = issuer.asked
    call = {"tool_name": "demo_shout", "arguments": {"text": "a"}}
    answers = await asyncio.gather(
        *(client.post("/mcp/call_tool", json=call, headers=showing(issuer.issue())) for _ in range(10))
    )
    assert [answer.status_code for answer in answers] == [200] * 10
    assert issuer.asked == asked + 1  # for all of them together
    recorded = await client.get(f"/calls/{answers[0].json()['execution_id']}", headers=showing(issuer.issue()))
    assert recorded.json()["caller"] == "token:ada"
    monkeypatch.setattr(jwks, "COOLDOWN_SECONDS", 0)
    old = issuer.issue()
    issuer.rotate()
    assert await status(client, issuer.issue()) == 200
    assert issuer.asked == asked + 2
    assert await status(client, old) == 401


async def test_a_key_that_is_withdrawn_is_forgotten_in_time(
    client: Client, issuer: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "COOLDOWN_SECONDS", 0)
    tokens = [issuer.issue(sub=f"user {number}") for number in range(3)]
    assert await status(client, tokens[0]) == 200
    issuer.rotate()
    assert await status(client, tokens[1]) == 200  # the keys that were read are young
    monkeypatch.setattr(jwks, "MAX_AGE_SECONDS", 0)
    assert await status(client, tokens[2]) == 401


async def test_an_issuer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(ConnectionError):
            while True:  # each byte comes in time
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.02)

    monkeypatch.setattr(jwks, "TIMEOUT_SECONDS", 0.3)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server, httpx.AsyncClient() as client:
        keys = jwks.Jwks(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", client)
        async with asyncio.timeout(20):
            with pytest.raises(Unauthenticated, match="their issuer does not answer"):
                await keys.find("k1")


async def test_a_token_that_is_not_for_us_lets_nobody_in(client: Client, issuer: AuthorizationServer) -> None:
    foreign = RSAKey.generate_key(2048, parameters={"kid": issuer.keys[0].kid})
    claims = jwt.decode(issuer.issue(), issuer.keys[0]).claims
    unsigned = issuer.issue().rpartition(".")[0] + "."
    public = json.dumps(issuer.keys[0].as_dict(private=False))
    confused = jwt.encode({"alg": "HS256", "kid": issuer.keys[0].kid}, claims, OctKey.import_key(public))
    for name, token in {
        "audience": issuer.issue(aud="https://other.example.com"),
        "lookalike": issuer.issue(aud=f"{AUDIENCE}.evil.example"),
        "issuer": issuer.issue(iss="https://other.example.com"),
        "expired": issuer.issue(exp=time.time() - 60),
        "not yet": issuer.issue(nbf=time.time() + 600),
        "no end": issuer.issue(exp=None),
        "nobody": issuer.issue(sub=""),
        "a name that others may begin with too": issuer.issue(sub="a" * 256),
        "a name that no database takes": issuer.issue(sub="a\0b"),
        "other key": jwt.encode({"alg": "RS256", "kid": issuer.keys[0].kid}, claims, foreign),
        "unsigned": unsigned,
        "secret for a public key": confused,
        "garbage": "a.b.c",
        "too long": f"a.{'b' * 9000}.c",
    }.items():
        answer = await client.get("/categories", headers=showing(token))
        assert answer.status_code == 401, name
        assert token not in answer.text


async def test_a_client_is_told_where_tokens_come_from(client: Client, issuer: AuthorizationServer) -> None:
    refused = await ask(client, {}, "tools/list")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == (
        f'Bearer scope="tools:read tools:call", resource_metadata="{AUDIENCE}/.well-known/oauth-protected-resource/mcp"'
    )
    for path in ("", "/mcp", "/toolsets/any/mcp"):
        metadata = (await client.get(f"/.well-known/oauth-protected-resource{path}")).json()
        assert metadata["resource"] == f"{AUDIENCE}{path}"
        assert metadata["authorization_servers"] == [issuer.issuer]
        assert "tools:read" in metadata["scopes_supported"]
    reader = showing(issuer.issue(scope="tools:read"))
    assert (await ask(client, reader, "tools/list")).status_code == 200
    step_up = await ask(client, reader, "tools/call", {"name": "demo_shout", "arguments": {}})
    assert step_up.status_code == 403
    assert 'error="insufficient_scope", scope="tools:call"' in step_up.headers["WWW-Authenticate"]
    assert "resource_metadata=" in step_up.headers["WWW-Authenticate"]


async def test_a_token_may_be_limited_to_toolsets(client: Client, issuer: AuthorizationServer) -> None:
    limited = showing(issuer.issue(scope="tools:read tools:write", toolsets=["none"]))
    assert (await client.post("/mcp/list_tools", json={}, headers=limited)).json() == []
    assert (await client.post("/admin/reindex", headers=limited)).status_code == 403


async def test_a_shared_secret_will_do(settings: Settings, make_plugins: Callable[..., Any]) -> None:
    secret = "a secret of at least thirty-two characters"
    changed = structs.replace(settings, jwt_jwks_url=None, jwt_secret=Secret(secret), jwt_audience="tools")
    async with AsyncTestClient(create_app(changed, make_plugins(demo=[shout])), base_url=BASE_URL) as opened:
        claims = {
            "iss": settings.jwt_issuer,
            "sub": "ada",
            "aud": "tools",
            "exp": time.time() + 60,
            "scp": ["tools:read"],
        }
        key = OctKey.import_key(secret)
        assert await status(opened, jwt.encode({"alg": "HS256"}, claims, key)) == 200
        assert await status(opened, jwt.encode({"alg": "HS256"}, claims | {"aud": "other"}, key)) == 401


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"jwt_issuer": None}, "JWT_ISSUER"),
        ({"jwt_secret": Secret("x" * 32)}, "JWT_SECRET"),
        ({"jwt_jwks_url": None}, "JWT_JWKS_URL"),
        ({"jwt_jwks_url": "http://keys.example.com"}, "https"),
        ({"public_url": None}, "JWT_AUDIENCE"),
        ({"jwt_jwks_url": None, "jwt_secret": Secret("short")}, "32 characters"),
    ],
)
def test_settings_for_tokens_must_be_complete(settings: Settings, changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        refuse_contradictions(structs.replace(settings, **changed))
