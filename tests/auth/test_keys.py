"""Keys, as operators issue them and callers show them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from litestar.testing import AsyncTestClient

from tests.auth.conftest import ADMIN, ADMIN_KEY, Issue, ask, showing
from toolbox.auth.authentication import read_credentials
from toolbox.auth.key_secrets import is_secret, new_secret
from toolbox.errors import Unauthenticated

Client = AsyncTestClient[Any]


async def test_a_key_is_shown_once_and_kept_as_a_digest(client: Client, issue: Issue, database_url: str) -> None:
    key = await issue("ci")
    secret = key["Authorization"].removeprefix("Bearer ")
    assert is_secret(secret.encode())
    listed = (await client.get("/admin/keys", headers=ADMIN)).json()
    assert [entry["name"] for entry in listed] == ["ci"]
    assert listed[0]["endings"] == [secret[-4:]]
    assert secret not in str(listed)
    connection = await asyncpg.connect(database_url)
    rows = [str(row) for table in ("keys", "key_secrets", "audit") for row in await connection.fetch(f"table {table}")]
    await connection.close()
    assert len(rows) >= 3
    assert not [row for row in rows if secret in row]


async def test_a_key_is_shown_in_either_header(client: Client, issue: Issue) -> None:
    key = await issue("ci")
    secret = key["Authorization"].removeprefix("Bearer ")
    for headers in (key, {"X-API-Key": secret}, {"authorization": f"bearer {secret}"}, key | {"X-API-Key": secret}):
        assert (await client.get("/categories", headers=headers)).status_code == 200, headers


async def test_without_a_key_or_with_a_wrong_one_nothing_is_said(client: Client, issue: Issue) -> None:
    key = await issue("ci")
    secret = key["Authorization"].removeprefix("Bearer ")
    missing = await client.get("/categories")
    assert (missing.status_code, missing.json()["code"]) == (401, "unauthenticated")
    assert missing.headers["WWW-Authenticate"] == 'Bearer scope="tools:read tools:call"'
    for wrong in (
        showing(new_secret()),
        showing(f"{secret}x"),
        showing("tbx_"),
        {"Authorization": f"Basic {secret}"},
        key | {"X-API-Key": ADMIN_KEY},
    ):
        answer = await client.get("/categories", headers=wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), wrong
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert (await client.get("/health/live", headers=wrong)).status_code == 200  # public, whatever is shown


async def test_what_a_key_may_not_do_names_the_scope(client: Client, issue: Issue) -> None:
    reader = await issue("reader", "tools:read")
    refused = await client.post("/mcp/call_tool", json={"tool_name": "demo_shout"}, headers=reader)
    assert (refused.status_code, refused.json()["scope"]) == (403, "tools:call")
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="tools:call"'
    over_mcp = await ask(client, reader, "tools/call", {"name": "call_tool", "arguments": {}})
    assert (over_mcp.status_code, over_mcp.json()["id"]) == (403, 7)
    assert over_mcp.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="tools:call"'
    found = await ask(client, reader, "tools/call", {"name": "find_tool", "arguments": {"query": "shout"}})
    assert not found.json()["result"]["isError"]
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "demo_shout"}},
    ]
    headers = reader | {"mcp-protocol-version": "2025-03-26"}
    pinged, called = (await client.post("/mcp", json=batch, headers=headers)).json()
    assert pinged["result"] == {}
    assert "tools:call" in called["error"]["message"]


async def test_a_revoked_key_works_no_more(client: Client, issue: Issue) -> None:
    key = await issue("ci")
    assert (await client.get("/categories", headers=key)).status_code == 200
    assert (await client.delete("/admin/keys/ci", headers=ADMIN)).status_code == 204
    while (await client.get("/categories", headers=key)).status_code == 200:  # until the event has come
        pass
    assert (await client.get("/categories", headers=key)).status_code == 401
    assert (await client.delete("/admin/keys/nobody", headers=ADMIN)).status_code == 404
    again = await client.post("/admin/keys", json={"name": "ci"}, headers=ADMIN)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_an_expired_key_works_no_more(client: Client, issue: Issue) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    key = await issue("short", expires_at=soon.isoformat())
    while datetime.now(UTC) < soon:
        await client.get("/categories", headers=key)
    assert (await client.get("/categories", headers=key)).status_code == 401
    renewed = await client.post("/admin/keys/short/rotate", json={}, headers=ADMIN)
    assert (renewed.status_code, renewed.json()["code"]) == (409, "conflict")  # its new secret would not work either
    over = {"name": "over", "expires_at": soon.isoformat()}
    refused = await client.post("/admin/keys", json=over, headers=ADMIN)
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "expires_at: it has passed, so nobody could use the key",
    )


async def test_a_rotated_key_has_two_secrets_for_a_while(client: Client, issue: Issue) -> None:
    old = await issue("ci")
    answer = await client.post("/admin/keys/ci/rotate", json={"overlap_seconds": 60}, headers=ADMIN)
    new = showing(answer.json()["secret"])
    for key in (old, new):
        assert (await client.get("/categories", headers=key)).status_code == 200
    assert len(answer.json()["key"]["endings"]) == 2
    newest = await client.post("/admin/keys/ci/rotate", json={"overlap_seconds": 0}, headers=ADMIN)
    assert len(newest.json()["key"]["endings"]) == 1
    while (await client.get("/categories", headers=new)).status_code == 200:
        pass
    assert (await client.get("/categories", headers=showing(newest.json()["secret"]))).status_code == 200


async def test_nobody_gives_what_they_lack(client: Client, issue: Issue) -> None:
    steward = await issue("steward", "keys:write", "tools:read")
    for scopes, status in ((["tools:read"], 201), (["tools:read", "tools:write"], 403)):
        answer = await client.post("/admin/keys", json={"name": f"k{status}", "scopes": scopes}, headers=steward)
        assert answer.status_code == status
    await issue("strong", "tools:write")
    assert (await client.post("/admin/keys/strong/rotate", json={}, headers=steward)).status_code == 403
    limited = {"name": "limited", "scopes": ["tools:write"], "toolsets": ["a"]}
    assert (await client.post("/admin/keys", json=limited, headers=ADMIN)).status_code == 400


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([], None),
        ([(b"authorization", b"Bearer ")], None),
        ([(b"authorization", b"bearer  abc ")], b"abc"),
        ([(b"x-api-key", b"abc"), (b"authorization", b"Bearer abc")], b"abc"),
    ],
)
def test_credentials_are_read_out_of_the_headers(headers: list[tuple[bytes, bytes]], shown: bytes | None) -> None:
    assert read_credentials(headers) == shown


def test_two_different_credentials_are_none() -> None:
    with pytest.raises(Unauthenticated, match="two different"):
        read_credentials([(b"x-api-key", b"a"), (b"authorization", b"Bearer b")])


async def test_a_wrong_member_that_is_called_like_a_part_of_toolbox_is_the_callers_fault(client: Client) -> None:
    answer = await client.post("/admin/keys", headers=ADMIN, json={"name": "ci", "toolsets": True})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["detail"] == "toolsets: expected a list or null, got true or false"


async def test_an_export_that_cannot_be_made_is_refused_before_it_begins(client: Client) -> None:
    answer = await client.get("/admin/tools/export", headers=ADMIN, params={"source": "\0"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
