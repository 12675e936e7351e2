"""A server that misbehaves in the way that its first argument names; without one it is a good server.

It speaks MCP 2025-11-25 over its standard input and output, and needs nothing but the standard library.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else ""
EXTRA = sys.argv[2] if len(sys.argv) > 2 else ""


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def tools() -> list[dict[str, Any]]:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    names = ["echo", "pid", "die", "hang", "flood", "garbage", "long", "change", "fork", "environment", "ask", "slow"]
    if CHANGED:
        names = [name for name in names if name != "pid"] + ["added"]
    return [
        {"name": name, "description": f"{name} something{' else' if CHANGED else ''}", "inputSchema": schema}
        for name in names
    ]


CHANGED = False
ASKED: dict[str, Any] = {}
CANCELLED: list[Any] = []


def call(request: dict[str, Any]) -> dict[str, Any] | None:
    global CHANGED
    name, arguments = request["params"]["name"], request["params"].get("arguments", {})
    match name:
        case "echo" if arguments.get("text") == "(cancelled)":
            return text(json.dumps(CANCELLED))
        case "echo" if arguments.get("text") == "(meta)":
            return text(json.dumps(request["params"].get("_meta")))
        case "echo":
            return text(arguments.get("text", "")) | {"_meta": {"example/kept": True}, "futureField": [1, 2]}
        case "pid":
            return text(str(os.getpid()))
        case "die":
            os._exit(3)
        case "hang":
            return None
        case "flood":
            for _ in range(200_000):
                sys.stderr.write("x" * 99 + "\n")
            return text("flooded")
        case "garbage":
            sys.stdout.write("this is not JSON\n{]\n" * 5)
            return text("after garbage")
        case "long":
            sys.stdout.write(json.dumps({"padding": "x" * 10_000_000}) + "\n")
            sys.stdout.flush()
            return text("after a long line")
        case "change":
            CHANGED = arguments.get("text") != "back"
            if MODE != "quiet":
                say({"method": "notifications/tools/list_changed"})
            return text("changed")
        case "fork":
            fork(arguments.get("text", ""))
            return text("forked")
        case "environment":
            return text(json.dumps(dict(os.environ)))
        case "ask":
            say(
                {
                    "id": "q1",
                    "method": "elicitation/create",
                    "params": {
                        "message": "Your name?",
                        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
                    },
                }
            )
            ASKED["q1"] = request["id"]
            return None
        case "slow":
            time.sleep(float(arguments.get("text") or 0.2))
            return text("slow")
        case _:
            return text(f"{name}!")


def fork(folder: str) -> None:
    """A child that ignores SIGTERM, a grandchild whose parent dies, and one in a session of its own."""
    stubborn = (
        "import os,signal,sys,time;signal.signal(15,signal.SIG_IGN);"
        "open(sys.argv[1],'w').write(str(os.getpid()));time.sleep(600)"
    )
    subprocess.Popen([sys.executable, "-c", stubborn, f"{folder}/child"])
    subprocess.Popen(["/bin/sh", "-c", f'{sys.executable} -c "{stubborn}" {folder}/grandchild & exit 0']).wait()
    subprocess.Popen([sys.executable, "-c", stubborn, f"{folder}/session"], start_new_session=True)
    while not all(
        (Path(folder) / name).exists() and (Path(folder) / name).read_text()
        for name in ("child", "grandchild", "session")
    ):
        time.sleep(0.01)


def answer(request: dict[str, Any]) -> dict[str, Any] | None:
    match request["method"]:
        case "initialize":
            return {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "hostile", "version": "1"},
            }
        case "tools/list":
            if MODE == "list-hangs":
                return None
            return {"tools": tools()}
        case "tools/call":
            return call(request)
        case "ping":
            return {}
    raise LookupError(request["method"])


def main() -> None:
    if MODE == "never-answers":
        for _ in sys.stdin:
            pass
        return
    if MODE == "fails":
        sys.stderr.write("no such licence\n")
        sys.exit(4)
    if MODE == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE == "fails-at-first" and not Path(EXTRA).exists():
        Path(EXTRA).write_text("tried")
        sys.exit(5)
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") in ASKED:
            say(
                {
                    "id": ASKED.pop(message["id"]),
                    "result": text(json.dumps(message.get("result", message.get("error")))),
                }
            )
            continue
        if message.get("method") == "notifications/cancelled":
            CANCELLED.append(message["params"]["requestId"])
        if "id" not in message or "method" not in message:
            continue
        try:
            result = answer(message)
        except LookupError as error:
            say({"id": message["id"], "error": {"code": -32601, "message": f"no method {error}"}})
            continue
        if result is not None:
            say({"id": message["id"], "result": result})
    if MODE == "ignores-sigterm":
        time.sleep(600)


main()
