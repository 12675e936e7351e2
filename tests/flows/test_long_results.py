"""Long results from the outside: what was handed out survives kill -9, and every way to read it gives the same."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.flows.conftest import STOP_SECONDS, Server, run_toolbox

Serve = Callable[..., Server]
TEXT = "".join(f"{number} green bottles hanging on the wall\n" for number in range(200))


def test_after_kill_9_a_handle_that_was_handed_out_is_read_to_its_end(serve: Serve, data_dir: Path) -> None:
    first = serve(DATA_DIR=str(data_dir))
    shown, uri = call_over_mcp(first.url)
    first.process.kill()
    first.process.wait(STOP_SECONDS)
    second = serve(DATA_DIR=str(data_dir))
    call_id, offset = re.fullmatch(r"result://([0-9a-f-]{36})\?offset=(\d+)", uri).groups()  # type: ignore[union-attr]
    page = httpx.get(f"{second.url}/calls/{call_id}/result", params={"offset": offset})
    assert shown + page.json() == TEXT[::-1]
    assert page.headers["X-Total-Count"] == str(len(TEXT))


def test_the_command_line_reads_on_here_and_on_a_server(serve: Serve, data_dir: Path) -> None:
    server = serve(DATA_DIR=str(data_dir))
    for where in ({"DATA_DIR": str(data_dir)}, {}):
        url = () if where else ("--url", server.url)
        called = run_toolbox("call", "text_reverse", f"text={TEXT}", "--max-tokens", "500", "--json", *url, **where)
        answer = json.loads(called.stdout)
        text, call_id = answer["result"], answer["execution_id"]
        assert 0 < len(text) < 1_500
        while len(text) < len(TEXT):
            page = run_toolbox(
                "result", call_id, "--offset", str(len(text)), "--limit", "4000", "--json", *url, **where
            )
            text += json.loads(page.stdout)
        assert text == TEXT[::-1]
        said = run_toolbox("call", "text_reverse", f"text={TEXT}", "--max-tokens", "500", *url, **where)
        assert re.search(
            rf"\d+ of {len(TEXT)} characters shown; more with: toolbox result \S+ --offset \d+", said.stderr
        )
        missing = run_toolbox("result", "nothing", *url, **where)
        assert (missing.returncode, missing.stderr) == (1, "Error: there is no result 'nothing' of yours\n")


def call_over_mcp(url: str) -> tuple[str, str]:
    """What is shown of the reversed text, and the handle of the rest."""
    arguments = {"tool_name": "text_reverse", "arguments": {"text": TEXT}, "max_tokens": 500}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "call_tool", "arguments": arguments},
    }
    headers = {"mcp-protocol-version": "2025-11-25"}
    result = httpx.post(f"{url}/mcp", json=message, headers=headers).json()["result"]
    shown, _, link = result["content"]
    return shown["text"], link["uri"]
