"""A tool that says more than its client reads keeps neither the server busy nor its memory."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec

from tests.flows.conftest import Server

PLUGIN = '''
import toolbox

async def pour(context: toolbox.ToolContext) -> str:
    """Say more and more."""
    number = 0
    while True:
        number += 1
        await context.report_progress(number, None, "x" * 1000)

@toolbox.hookimpl
def toolbox_tools():
    return [pour]
'''

MESSAGE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "poured_pour", "_meta": {"progressToken": "p"}},
}


CALL = {"tool_name": "text_reverse", "arguments": {"text": "abc"}}
MOST_BYTES = 100 * 2**20
"""What the buffers of one connection take is far below."""


def test_others_are_served_while_nobody_reads_what_a_tool_pours_out(
    serve: Callable[..., Server], database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "poured_plugin.py").write_text(PLUGIN)
    record = tmp_path / "poured-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: poured\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\npoured = poured_plugin\n")
    server = serve(DATABASE_URL=database_url, PYTHONPATH=str(tmp_path), TOOL_TIMEOUT="3")
    host, _, port = server.url.removeprefix("http://").partition(":")
    before = _memory(server)
    with httpx.Client(base_url=server.url, timeout=20) as client, socket.create_connection((host, int(port))) as unread:
        unread.sendall(_request(f"{host}:{port}"))
        assert unread.recv(12) == b"HTTP/1.1 200"
        for _ in range(20):
            assert client.post("/mcp/call_tool", json=CALL).json()["result"] == "cba"
        assert _memory(server) - before < MOST_BYTES
        assert client.get("/categories", headers={"x-long": "a" * 40_000}).status_code == 431


def _request(host: str) -> bytes:
    body = msgspec.json.encode(MESSAGE)
    head = [
        "POST /mcp HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2025-11-25",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _memory(server: Server) -> int:
    """What the server holds in memory, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
