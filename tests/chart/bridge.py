"""Runs what the chart puts into a bridge's pod, and finds and calls a tool of it through a server, as in a cluster."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.flows.conftest import TOOLBOX, Server, environment, start_server

ROOT = Path(__file__).parents[2]
SECRET = {"GREETING": "hello"}
"""What the Secret of the pod holds, by which the bridge would not start if it did not reach it."""
BRIDGE = {
    "name": "numbers",
    "command": [sys.executable, str(ROOT / "tests/upstreams/sdk_server.py"), "stdio"],
    "secret": "numbers",
    "variables": list(SECRET),
}
READY_SECONDS = 30.0


def check_bridge(objects: list[dict[str, Any]]) -> Iterator[str]:
    """Start the container's process with its own arguments and variables; `objects` are rendered with BRIDGE."""
    of_kind = {made["kind"]: made for made in objects if made["metadata"]["name"].endswith("-bridge-numbers")}
    container = of_kind["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    service = of_kind["Service"]
    labels = of_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    if not service["spec"]["selector"].items() <= labels.items():
        yield "the bridge's Service does not lead to its pod"
    with running(container) as url, tempfile.TemporaryDirectory() as folder:
        host = service["metadata"]["name"]
        if (said := httpx.post(f"{url}/mcp", headers={"Host": host}, json={}).status_code) == 421:
            yield f"the bridge does not answer to the name of its Service, {host}: {said}"
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where we are root
        upstreams = json.dumps({"mcpServers": {"numbers": {"url": f"{url}/mcp"}}})
        server = start_server(DATA_DIR=f"{folder}/data", MCP_SERVERS=upstreams)
        try:
            yield from find_and_call(server)
        finally:
            server.stop()


@contextmanager
def running(container: dict[str, Any]) -> Iterator[str]:
    """The container's process, as this user and without its file system, on another port than the rendered one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rendered = f"--port={container['ports'][0]['containerPort']}"
    arguments = [f"--port={port}" if argument == rendered else argument for argument in container["args"]]
    assert arguments != container["args"]
    variables = {given["name"]: given["value"] for given in container["env"]}
    if "envFrom" in container:
        variables |= SECRET
    command = [str(TOOLBOX.with_name(container["command"][0])), *container["command"][1:], *arguments]
    with subprocess.Popen(command, env={"PATH": os.environ["PATH"]} | variables, stderr=subprocess.PIPE) as process:
        try:
            end = time.monotonic() + READY_SECONDS
            while process.poll() is None and time.monotonic() < end:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()  # what the probes of the pod do
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def find_and_call(server: Server) -> Iterator[str]:
    """By the command line; a new upstream is read in the background."""
    end = time.monotonic() + READY_SECONDS
    while "numbers__add" not in (found := run("find", "add two whole numbers", url=server.url)):
        if time.monotonic() > end:
            yield f"no tool of the bridge is found: {found}"
            return
        time.sleep(0.5)
    called = run("call", "numbers__add", "a=2", "b=3", "--json", url=server.url)
    if '"result": 5' not in called and '"result":5' not in called:
        yield f"a tool of the bridge is not called: {called}"


def run(*arguments: str, url: str) -> str:
    done = subprocess.run(
        [TOOLBOX, *arguments, "--url", url], env=environment(NO_PROXY="*"), capture_output=True, text=True
    )
    return done.stdout + done.stderr
