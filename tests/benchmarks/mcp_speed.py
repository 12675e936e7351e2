"""Processor time of a server for one request of MCP, as ratios in one run; the figures of docs/benchmarks.md.

    .dev/run python -m tests.benchmarks.mcp_speed

ToolBox, with all that is always on (schemas of arguments and results checked, history, a log line for each request),
beside a bare route of Litestar and msgspec that answers the same bytes, the official SDK's low-level server, and
FastMCP; in either era, tools/call of a tool that adds, and tools/list. A second ToolBox writes no line for a request,
as none of the others does.

Each is one process on one core, and the load comes from another one. The rounds go through all of them in turn, and the
best counts: what else the machine does can only slow it down. The load is that of wrk where there is one, else of a few
connections of our own; it only has to keep a server busy, because what is measured is the processor time of the server.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Raw, Struct

from tests.benchmarks.mcp_servers import TOOLS
from tests.benchmarks.running import Running, keep_off_the_servers_core, postgres, toolbox

FASTMCP = "4.1.2"
ROUNDS = 3
SECONDS = 3
CONNECTIONS = 16

PLUGIN = '''
import toolbox
from msgspec import Struct

class Sum(Struct):
    total: int

def make(name):
    @toolbox.tool(name=name)
    async def add(a: int, b: int) -> Sum:
        """Add two numbers."""
        return Sum(a + b)
    return add

@toolbox.hookimpl
def toolbox_tools():
    return [make(f"{number:02}") for number in range(20)]
'''


class Question(Struct, frozen=True):
    """A request, ready to be sent again and again."""

    name: str
    headers: dict[str, str]
    body: bytes


def questions() -> list[Question]:
    """What is asked: both methods in both eras."""
    call = {"name": TOOLS[7], "arguments": {"a": 19, "b": 23}}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    }
    asked = []
    for method, params, name in (("tools/call", call, TOOLS[7]), ("tools/list", {}, None)):
        for era in ("2026-07-28", "2025-11-25"):
            headers = {
                "content-type": "application/json",
                "accept": "application/json, text/event-stream",
                "mcp-protocol-version": era,
            }
            given: dict[str, Any] = dict(params)
            if era == "2026-07-28":
                headers |= {"mcp-method": method} | ({"mcp-name": name} if name else {})
                given["_meta"] = meta
            body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": given})
            asked.append(Question(f"{method} {era}", headers, body))
    return asked


def measure(rounds: int, seconds: int, kinds: list[str]) -> None:
    """Start all servers, check that they answer, load one after the other, and print the table."""
    core = keep_off_the_servers_core()
    asked = questions()
    with contextlib.ExitStack() as stack:
        servers = start_servers(stack, core, kinds)
        for question in asked:
            check_answers(servers, question)
        costs = {(kind, question.name): [] for kind in servers for question in asked}  # type: dict[Any, list[float]]
        for question in asked:
            for server in servers.values():
                load(server, question, 1)  # what is loaded late, and kept, is not counted
        for _ in range(rounds):
            for question in asked:
                for kind, server in servers.items():
                    before = server.cpu_seconds()
                    answered = load(server, question, seconds)
                    costs[kind, question.name].append((server.cpu_seconds() - before) / answered * 1e6)
    print_table({key: min(measured) for key, measured in costs.items()}, list(servers), asked)


def start_servers(stack: contextlib.ExitStack, core: int, kinds: list[str]) -> dict[str, Running]:
    """ToolBox first: what it answers is what the bare route answers too."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    write_plugin(folder)
    url = stack.enter_context(postgres())
    settings = {"PINNED_TOOLS": ",".join(TOOLS), "PYTHONPATH": str(folder)}
    servers = {"toolbox": stack.enter_context(toolbox(url, core, **settings))}
    servers["toolbox, LOG_LEVEL=WARNING"] = stack.enter_context(toolbox(url, core, LOG_LEVEL="WARNING", **settings))
    answers = folder / "answers.json"
    record_answers(servers["toolbox"], answers)
    pythons = {"bare": sys.executable, "sdk": sys.executable, "fastmcp": ""}
    for kind in kinds:
        python = pythons[kind] or fastmcp_python()
        servers[kind] = stack.enter_context(start_peer(python, kind, answers, core))
    return servers


def write_plugin(folder: Path) -> None:
    """What pip would leave behind."""
    (folder / "number_plugin.py").write_text(PLUGIN)
    record = folder / "number-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: number\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[toolbox]\nnumber = number_plugin\n")


def record_answers(server: Running, file: Path) -> None:
    """The lists, and what results say of their server, for the bare route to repeat."""
    results = {
        question.name: msgspec.json.decode(ask(server, question), type=dict[str, Raw]) for question in questions()
    }
    called = msgspec.json.decode(results["tools/call 2026-07-28"]["result"], type=dict[str, Raw])
    recorded = {
        "meta": called["_meta"],
        "modern": results["tools/list 2026-07-28"]["result"],
        "legacy": results["tools/list 2025-11-25"]["result"],
    }
    file.write_bytes(msgspec.json.encode(recorded))


def fastmcp_python() -> str:
    """An environment for FastMCP alone, made by uv once: it wants other versions than we lock."""
    folder = Path(tempfile.gettempdir()) / f"toolbox-benchmark-fastmcp-{FASTMCP}"
    python = folder / "bin/python"
    if not (folder / "installed").exists():
        subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        packages = [f"fastmcp=={FASTMCP}", "uvloop", "httptools"]
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *packages], check=True)
        (folder / "installed").touch()
    return str(python)


@contextlib.contextmanager
def start_peer(python: str, kind: str, answers: Path, core: int) -> Iterator[Running]:
    """One of the servers that ToolBox is compared with."""
    command = [python, str(Path(__file__).with_name("mcp_servers.py")), kind, str(answers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        try:
            yield Running(process.pid, f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


def ask(server: Running, question: Question) -> bytes:
    """One answer."""
    answer = httpx.post(f"{server.url}/mcp", content=question.body, headers=question.headers)
    assert answer.is_success, answer.text
    return answer.content


def check_answers(servers: dict[str, Running], question: Question) -> None:
    """Only servers that do the work are compared: right answers, and the bare route's are ToolBox's to the byte."""
    answers = {kind: ask(server, question) for kind, server in servers.items()}
    for kind, answer in answers.items():
        result = msgspec.json.decode(answer)["result"]
        if question.name.startswith("tools/call"):
            assert result["structuredContent"] == {"total": 42}, (kind, answer)
        else:
            assert {tool["name"] for tool in result["tools"]} >= set(TOOLS), (kind, answer)
    assert answers["toolbox"] == answers.get("bare", answers["toolbox"]), (answers["toolbox"], answers["bare"])


def load(server: Running, question: Question, seconds: int) -> int:
    """Ask as fast as the server answers, on several connections; how many answers came."""
    if wrk := shutil.which("wrk"):
        return _load_with_wrk(wrk, server, question, seconds)
    return asyncio.run(_load_with_our_own(server, question, seconds))


def _load_with_wrk(wrk: str, server: Running, question: Question, seconds: int) -> int:
    headers = "".join(f"wrk.headers[{name!r}] = {value!r}\n" for name, value in question.headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "POST"\nwrk.body = [==[{question.body.decode()}]==]\n{headers}')
        script.flush()
        options = ["--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s"]
        command = [wrk, *options, "--script", script.name, f"{server.url}/mcp"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    return int(re.findall(r"(\d+) requests in", said)[0])


async def _load_with_our_own(server: Running, question: Question, seconds: int) -> int:
    host, _, port = server.url.removeprefix("http://").partition(":")
    lines = [f"{name}: {value}" for name, value in question.headers.items()]
    lines += [f"host: {host}:{port}", f"content-length: {len(question.body)}"]
    request = "\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + question.body
    counters = [_Counter(request) for _ in range(CONNECTIONS)]
    loop = asyncio.get_running_loop()
    for counter in counters:
        await loop.create_connection(lambda counter=counter: counter, host, int(port))  # type: ignore[misc]
    await asyncio.sleep(seconds)
    return sum(counter.answers for counter in counters)


class _Counter(asyncio.Protocol):
    """Sends a request again whenever its answer is complete."""

    def __init__(self, request: bytes) -> None:
        self.answers = 0
        self._request = request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if length and len(body) >= int(length[1]):
            assert head.startswith(b"HTTP/1.1 200 "), head
            self.answers += 1
            self._received = b""
            self._send()

    def _send(self) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(self._request)


def print_table(costs: dict[Any, float], kinds: list[str], asked: list[Question]) -> None:
    """Microseconds, and how many times those of the first that ToolBox is compared with."""
    base = "bare" if "bare" in kinds else kinds[0]
    print(f"python {sys.version.split()[0]}, {', '.join(f'{name} {version(name)}' for name in PACKAGES)}")
    print(f"fastmcp {FASTMCP}; microseconds of the server's processor for one request (times those of {base})\n")
    print(f"| | {' | '.join(question.name for question in asked)} |")
    print("|---|" + "---|" * len(asked))
    for kind in kinds:
        cells = [
            f"{costs[kind, question.name]:.0f} ({costs[kind, question.name] / costs[base, question.name]:.2f})"
            for question in asked
        ]
        print(f"| {kind} | {' | '.join(cells)} |")


PACKAGES = ("litestar", "msgspec", "uvicorn", "uvloop", "mcp")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each load")
    parser.add_argument("--kinds", nargs="+", default=["bare", "sdk", "fastmcp"], help="what ToolBox is compared with")
    wanted = parser.parse_args()
    measure(wanted.rounds, wanted.seconds, wanted.kinds)


if __name__ == "__main__":
    main()
