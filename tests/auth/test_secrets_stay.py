"""Secrets that were planted everywhere are in no log line, no answer and no row."""

import pytest
from litestar.testing import AsyncTestClient

from tests.auth.conftest import ADMIN, ADMIN_KEY, Issue, ask, showing
from tests.conftest import read_everything
from toolbox.auth.key_secrets import new_secret


async def test_no_secret_leaves(
    client: AsyncTestClient, issue: Issue, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    key = await issue("ci")
    secret = key["Authorization"].removeprefix("Bearer ")
    wrong, token = new_secret(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
    in_argument, in_crash = "argument-swordfish", "crash-swordfish"
    planted = [secret, wrong, token, ADMIN_KEY, in_argument, in_crash, database_url]
    unknown = {"tool_name": "x", "arguments": {"p": in_argument}}
    answers = []
    for shown in (key, ADMIN, showing(wrong), showing(token), key | {"X-API-Key": wrong}):
        answers += [
            await client.get("/categories", headers=shown),
            await client.get(f"/nothing?key={wrong}", headers=shown),
            await client.get("/admin/audit", headers=shown),
            await client.get("/admin/keys", headers=shown),
            await client.get("/health/detailed", headers=shown),
            await client.post("/mcp/call_tool", content=b'{"tool_name": ', headers=shown),
            await client.post("/mcp/call_tool", json={"tool_name": "demo_crash", "arguments": {}}, headers=shown),
            await client.post("/mcp/call_tool", json=unknown, headers=shown),
            await ask(client, shown, "tools/call", {"name": "demo_crash", "arguments": {}}),
            await ask(client, shown, "no/such/method"),
        ]
    said = "\n".join(f"{answer.text} {answer.headers}" for answer in answers)
    out, err = capfd.readouterr()
    kept = await read_everything(database_url)
    for text in planted:
        assert text not in said, text
        assert text not in kept, text
        if text != in_crash:  # the traceback of a tool is for its author, in the log
            assert text not in out + err, text
    assert "Traceback" not in said
    assert "/site-packages/" not in said
    assert "select " not in said
