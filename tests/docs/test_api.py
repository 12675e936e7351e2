"""docs/api.md is followed from top to bottom on a real server, and names every route and every method of MCP."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from tests.auth.test_matrix import application, handlers
from tests.docs.test_pages import compare, read_blocks, split_steps
from tests.flows.conftest import TOOLBOX, Server, data_dir, serve
from toolbox.app import create_app
from toolbox.mcp import handshake, stateless
from toolbox.settings import Settings

__all__ = ["data_dir", "serve"]

PAGE = "docs/api.md"
SECONDS = 240

CURL = """#!/bin/sh
# As curl, and notes down each answer that is an error, unless its status is shown.
case " $* " in *" -w "*) exec {curl} "$@";; esac
answer=$(mktemp)
{curl} --fail-with-body "$@" >"$answer"
status=$?
if [ $status = 22 ] || grep -Eq '{failure}' "$answer"; then
  {{ echo "curl $*"; cat "$answer"; echo; }} >>{failed}
fi
cat "$answer"
rm "$answer"
exit $status
"""
FAILURE = r'^(data: )?\{"jsonrpc":.*("error":\{|"isError":true)|^\{"success":false'
UVX = "#!/bin/sh\nexec {python} {server}\n"
UV = '#!/bin/sh\nshift 2\nexec {uv} pip install -q --no-build-isolation --python {python} --target {target} "$@"\n'
"""Into a folder that is the server's alone, and not into the environment of all tests."""

REFUSED = ("GET /.well-known/oauth-protected-resource", "POST /admin/upstreams/{name}/upgrade")
"""These answer with an error where the page is followed, as it says."""

NOT_FOR_CALLERS = {
    "GET /schema/{path}",  # the framework's, for pages that there are not
    "PUT /toolsets/{name}/mcp",
    "PATCH /toolsets/{name}/mcp",
    "DELETE /toolsets/{name}/mcp",  # 405
}


class Said(Struct, frozen=True):
    """What a command of the page was to answer, and what it answered."""

    line: str
    shown: str
    answer: str


def test_the_page_can_be_followed_and_leaves_nothing_out(
    serve: Callable[..., Server], data_dir: Path, tmp_path: Path
) -> None:
    programs, packages, failed = tmp_path / "bin", tmp_path / "packages", tmp_path / "failed"
    packages.mkdir()
    write_program(programs / "curl", CURL, curl=shutil.which("curl"), failure=FAILURE, failed=failed)
    write_program(programs / "uvx", UVX, python=sys.executable, server=Path(__file__).with_name("clock_server.py"))
    write_program(programs / "uv", UV, uv=shutil.which("uv"), python=sys.executable, target=packages)
    path = f"{programs}:{TOOLBOX.parent}:{os.environ['PATH']}"
    server = serve(DATA_DIR=str(data_dir), PATH=path, PYTHONPATH=str(packages))
    before = read_requests(server)

    folder = tmp_path / "folder"
    folder.mkdir()
    said, key = follow_page(server, folder, path)

    assert not failed.exists(), failed.read_text()
    assert [problem for each in said for problem in compare(each.line, each.shown, each.answer)] == []
    answered = read_requests(server, key) - before
    assert find_missing_routes(answered) == []
    assert find_missing_methods(answered) == []


def write_program(file: Path, text: str, **filled_in: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text.format(**filled_in))
    file.chmod(0o755)


def follow_page(server: Server, folder: Path, path: str) -> tuple[list[Said], str]:
    """Run all blocks in one shell; the answers of commands with a prompt, and the operator's key, which comes last."""
    shown, script = [], "set -e\n"
    for block in read_blocks():
        if block.page == PAGE and block.language in {"", "sh"}:
            for command, answer in split_steps(block.code):
                shown.append((f"{block}: {command}", answer))
                script += f"echo '<<<'\n{command}\n"
    script += "echo '<<<'\necho $KEY"
    commands, output = folder.with_suffix(".sh"), folder.with_suffix(".out")
    commands.write_text(script.replace("localhost:8000", server.url.removeprefix("http://")))
    status: int | str = "never"
    with output.open("w") as file, contextlib.suppress(subprocess.TimeoutExpired):
        status = subprocess.run(
            ["sh", commands],
            cwd=folder,
            env={**os.environ, "PATH": path, "NO_PROXY": "*"},
            stdout=file,
            stderr=file,
            timeout=SECONDS,
            check=False,
        ).returncode
    _, *answers = output.read_text().split("<<<\n")
    assert status == 0, f"{shown[len(answers) - 1][0]} ended {status}:\n{answers[-1][-2000:]}"
    return [Said(*each, answer) for each, answer in zip(shown, answers, strict=False)], answers[-1].strip()


def read_requests(server: Server, key: str = "") -> Counter[tuple[str, ...]]:
    """How many requests were answered without an error, by method and route; those of MCP by version and method too."""
    asked = urllib.request.Request(f"{server.url}/metrics", headers={"X-API-Key": key} if key else {})
    with urllib.request.urlopen(asked) as response:
        text = response.read().decode()
    routes = re.findall(r'http_request_seconds_count\{method="(.*?)",route="(.*?)",status="(.*?)"\} (\d+)', text)
    methods = re.findall(r'mcp_requests_total\{method="(.*?)",status="ok",version="(.*?)"\} (\d+)', text)
    counted = Counter[tuple[str, ...]]()
    for method, route, status, times in routes:
        if status < "400" or f"{method} {route}".startswith(REFUSED):
            counted[f"{method} {route}",] += int(times)
    for name, version, times in methods:
        counted[version, name] += int(times)
    return counted


def find_missing_routes(answered: Counter[tuple[str, ...]]) -> list[str]:
    found = {re.sub(r":\w+\}", "}", route) for route in handlers(application(create_app(Settings())))}
    wanted = {route for route in found if not route.startswith(("OPTIONS ", "HEAD "))} - NOT_FOR_CALLERS
    wanted = wanted - {"ANY /mcp"} | {"GET /mcp", "POST /mcp"}
    return sorted(route for route in wanted if not answered[route,])


def find_missing_methods(answered: Counter[tuple[str, ...]]) -> list[tuple[str, str]]:
    wanted = [("2026-07-28", name) for name in stateless._METHODS]
    wanted += [("2025-11-25", name) for name in ("initialize", *handshake._METHODS)]
    endless = (
        "2026-07-28",
        "subscriptions/listen",
    )  # ended by its client, so nobody counts it; the page looks for what it said
    return [each for each in wanted if not answered[each] and each != endless]
