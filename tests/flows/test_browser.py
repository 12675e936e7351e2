"""Pages in a real browser: one of an origin that is allowed speaks MCP and reads why it is refused, another one cannot.

Where there is no Chromium or Chrome this is skipped; what the browser is told is tested without one
(tests/auth/test_pages.py).
"""

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import Server

API_KEY = "the key of somebody's page"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_SECONDS = 90

PAGE = """<!doctype html><title>a page</title><script type="module">
const [server, key] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const shown = { authorization: `Bearer ${key}` };
const ask = async (path, options) => {
  try {
    const answer = await fetch(server + path, options);
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
  } catch (error) {
    return { refused: String(error) };
  }
};
const send = (message, headers) => ask("/mcp", {
  method: "POST",
  headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
  body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...message }),
});
const meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const call = { name: "text_reverse", arguments: { text: "abc" }, _meta: meta };
const modern = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "text_reverse" };
const clientInfo = { name: "page", version: "1" };
const begin = { protocolVersion: "2025-11-25", capabilities: { elicitation: {} }, clientInfo };
const seen = {
  begun: await send({ method: "initialize", params: begin }, shown),
  called: await send({ method: "tools/call", params: call }, { ...shown, ...modern, "mcp-param-text": "abc" }),
  listed: await ask("/categories", { headers: shown }),
  unknown: await send({ method: "tools/call", params: call }, modern),
};
for (let number = 0; number < 12; number++) seen.tooOften = await ask("/categories", { headers: shown });
await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
</script>"""


class Pages(ThreadingHTTPServer):
    """Serves the page under any name, and hears what it saw."""

    def __init__(self) -> None:
        self.seen = queue.Queue[Any]()
        super().__init__(("127.0.0.1", 0), _PageHandler)


class _PageHandler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.seen.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def browse(pages: Pages, tmp_path: Path) -> Callable[[str, Server], Any]:
    """Shows the page in a browser, under a name, and gives back what it saw."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"a browser is needed: one of {', '.join(BROWSERS)}")

    def show(host: str, server: Server) -> Any:
        url = f"http://{host}:{pages.server_port}/#{json.dumps([server.url, API_KEY])}"
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={tmp_path / host}",
            "--host-resolver-rules=MAP *.example 127.0.0.1",
        ]
        with (tmp_path / f"{host}.log").open("wb") as log:
            process = subprocess.Popen([browser, *options, url], stdout=log, stderr=log)
            try:
                return pages.seen.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                raise AssertionError((tmp_path / f"{host}.log").read_text()) from None
            finally:
                process.terminate()
                process.wait()

    return show


def test_a_page_that_is_allowed_speaks_mcp_and_another_one_learns_nothing(
    pages: Pages, browse: Callable[[str, Server], Any], serve: Callable[..., Server], database_url: str
) -> None:
    server = serve(
        DATABASE_URL=database_url,
        API_KEY=API_KEY,
        CORS_ORIGINS=f"http://inspector.example:{pages.server_port}",
        RATE_LIMIT_REQUESTS_PER_MINUTE="10",
    )
    seen = browse("inspector.example", server)
    assert {name: answer.get("status") for name, answer in seen.items()} == {
        "begun": 200,
        "called": 200,
        "listed": 200,
        "unknown": 401,
        "tooOften": 429,
    }, seen
    assert json.loads(seen["called"]["body"])["result"]["structuredContent"] == "cba"
    assert seen["begun"]["headers"]["mcp-session-id"]
    assert seen["called"]["headers"]["x-request-id"]
    assert seen["unknown"]["headers"]["www-authenticate"].startswith("Bearer")
    assert int(seen["tooOften"]["headers"]["retry-after"]) > 0
    assert json.loads(seen["tooOften"]["body"])["code"] == "rate_limited"
    assert all("refused" in answer for answer in browse("evil.example", server).values())
