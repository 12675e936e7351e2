"""A hundred upstreams of stdio: how soon ToolBox is ready, how many run at once, and that none is left, not by kill -9.

.dev/run python -m tests.benchmarks.upstream_crowd --upstreams 100
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.benchmarks.running import postgres

SERVER = str(Path(__file__).parents[1] / "upstreams" / "hostile.py")


def servers_of(upstreams: int) -> dict[str, object]:
    return {
        "mcpServers": {f"u{number:03}": {"command": sys.executable, "args": [SERVER]} for number in range(upstreams)}
    }


def find_left() -> list[int]:
    """Servers and keepers that run, of whoever."""
    left = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if SERVER in line:
            left.append(process.pid)
    return left


async def follow(url: str, upstreams: int, started: float) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while True:
            try:
                if (await http.get("/health/ready")).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)
        print(f"ready after {time.perf_counter() - started:.2f} s", flush=True)
        most = 0
        while True:
            begun = time.perf_counter()
            found = (await http.get("/admin/upstreams")).json()
            slow = time.perf_counter() - begun
            running = sum(1 for each in found if each["here"] and each["here"]["state"] == "running")
            starting = sum(1 for each in found if each["here"] and each["here"]["state"] == "starting")
            most = max(most, starting)
            read = sum(1 for each in found if each["read_at"])
            if read == upstreams or any(each["problem"] for each in found):
                break
            await asyncio.sleep(0.2)
        problems = [each["problem"] for each in found if each["problem"]]
        seconds = time.perf_counter() - started
        print(
            f"{read} read after {seconds:.1f} s, {running} running, most starting: {most}; list in {slow * 1000:.0f} ms"
        )
        if problems:
            print("problems:", problems[:3])
        names = [f"u{number:03}__echo" for number in range(upstreams)]
        done = await asyncio.gather(
            *(http.post("/mcp/call_tool", json={"tool_name": name, "arguments": {"text": "hi"}}) for name in names)
        )
        print(f"{sum(answer.json()['success'] for answer in done)} of {upstreams} called")


def start(database: str, upstreams: int) -> tuple[subprocess.Popen[bytes], str]:
    port = 8932
    command = [str(Path(sys.executable).with_name("toolbox")), "serve", "--port", str(port)]
    settings = {"DATABASE_URL": database, "LOG_LEVEL": "ERROR", "MCP_SERVERS": json.dumps(servers_of(upstreams))}
    return subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.DEVNULL), f"http://127.0.0.1:{port}"


def wait_until_gone(what: str) -> None:
    begun = time.perf_counter()
    while left := find_left():
        if time.perf_counter() - begun > 30:
            sys.exit(f"{what}: {len(left)} processes are left: {left[:10]}")
        time.sleep(0.05)
    print(f"{what}: nothing is left after {time.perf_counter() - begun:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstreams", type=int, default=100)
    upstreams = parser.parse_args().upstreams
    with tempfile.TemporaryDirectory(), postgres() as database:
        for label, end in (("killed with SIGKILL", signal.SIGKILL), ("ended with SIGTERM", signal.SIGTERM)):
            started = time.perf_counter()
            process, url = start(database, upstreams)
            try:
                asyncio.run(follow(url, upstreams, started))
                print(f"{len(find_left())} processes of servers and keepers")
            finally:
                process.send_signal(end)
                process.wait()
            wait_until_gone(label)


if __name__ == "__main__":
    main()
