"""Servers to be installed: as a wheel, from a registry of npm, and from a repository that git serves over HTTP.

Each has one tool, `version`, which says what version it is.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

SERVER = """
import json, sys, time

def main(version={version!r}):
    {broken}
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        if message["method"] == "initialize":
            result = {{"protocolVersion": message["params"]["protocolVersion"], "capabilities": {{"tools": {{}}}},
                       "serverInfo": {{"name": "pets", "version": version}}}}
        elif message["method"] == "tools/list":
            result = {{"tools": [{{"name": "version", "description": version, "inputSchema": {{"type": "object"}}}}]}}
        elif message["method"] == "tools/call":
            result = {{"content": [{{"type": "text", "text": version}}]}}
        else:
            result = None
        answer = {{"error": {{"code": -32601, "message": "no"}}}} if result is None else {{"result": result}}
        print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], **answer}}), flush=True)
"""
BROKEN = "sys.exit('it is broken')"

JS_SERVER = """#!/usr/bin/env node
const say = (message) => console.log(JSON.stringify({ jsonrpc: "2.0", ...message }));
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const text = require("./package.json").version;
  if (method === "initialize")
    say({
      id,
      result: {
        protocolVersion: params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "pets", version: text },
      },
    });
  else if (method === "tools/list")
    say({ id, result: { tools: [{ name: "version", inputSchema: { type: "object" } }] } });
  else if (method === "tools/call") say({ id, result: { content: [{ type: "text", text }] } });
  else say({ id, error: { code: -32601, message: "no" } });
});
"""

BACKEND = """
import os, pathlib, sys, time, zipfile
sys.path.insert(0, os.path.dirname(__file__))
from wheels import write_wheel

def build_wheel(folder, config_settings=None, metadata_directory=None):
    root = pathlib.Path(__file__).parent
    {wait}
    return write_wheel(pathlib.Path(folder), {version!r}, (root / "pets_server.py").read_text()).name
"""
WAIT = """
    pathlib.Path({started!r}).write_text(str(os.getpid()))
    while pathlib.Path({started!r}).exists():
        time.sleep(0.05)
"""


def server(version: str, *, is_broken: bool = False) -> str:
    """The program of the server."""
    return SERVER.format(version=version, broken=BROKEN if is_broken else "pass")


def write_wheel(folder: Path, version: str, code: str) -> Path:
    """A wheel of the server, `pets-server`, whose program has the same name."""
    info = f"pets_server-{version}.dist-info"
    files = {
        "pets_server.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: pets-server\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\npets-server = pets_server:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = folder / f"pets_server-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def write_project(folder: Path, version: str, *, is_broken: bool = False, waits_for: Path | None = None) -> None:
    """A Python project that builds itself, with nothing from elsewhere; while a file is there, if it is to wait."""
    wait = WAIT.format(started=str(waits_for)) if waits_for else ""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "pets-server"\nversion = "{version}"\n\n'
        '[project.scripts]\npets-server = "pets_server:main"\n\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (folder / "pets_server.py").write_text(server(version, is_broken=is_broken))
    (folder / "backend.py").write_text(BACKEND.format(version=version, wait=wait))
    own = Path(__file__).read_text()
    wheel = own[own.index("def write_wheel") : own.index("def write_project")]
    (folder / "wheels.py").write_text("import zipfile\nfrom pathlib import Path\n\n" + wheel)


class Repository:
    """A repository of git's; `folder` is what is committed next."""

    def __init__(self, root: Path, name: str = "pets") -> None:
        self.folder = root / "work" / name
        self.bare = root / "served" / f"{name}.git"
        self.folder.mkdir(parents=True)
        self.bare.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", folder=self.bare)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        identity = {
            f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *arguments], cwd=folder or self.folder, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, tag: str = "") -> str:
        """Commit and push everything; gives back the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a version")
        if tag:
            self.git("tag", tag)
        self.git("push", "--quiet", "--tags", str(self.bare), "main")
        return self.git("rev-parse", "HEAD")


class GitServer:
    """Serves all repositories below a folder, by git's own program for that; `url` is where.

    With a password, it serves nobody without: `refused` is what others have shown, and `commands` what ran meanwhile.
    What is below `/moved` is elsewhere.
    """

    def __init__(self, folder: Path, *, password: str | None = None, elsewhere: str = "") -> None:
        wanted = "Basic " + base64.b64encode(f"x-access-token:{password}".encode()).decode() if password else None
        self.commands: list[str] = []
        self.refused: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                shown = self.headers.get("authorization")
                if path.startswith("/moved/"):
                    self.send_response(302)
                    self.send_header("location", elsewhere + self.path.removeprefix("/moved"))
                    self.end_headers()
                    return
                if wanted and shown != wanted:
                    server.refused.append(shown)
                    self.send_response(401)
                    self.send_header("www-authenticate", 'Basic realm="git"')
                    self.end_headers()
                    return
                if wanted:
                    server.commands += _list_commands()
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                environment = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("content-type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                }
                done = subprocess.run(
                    ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
                )
                head, _, answer = done.stdout.partition(b"\r\n\r\n")
                lines = [line.decode().partition(": ") for line in head.splitlines()]
                status = next((value for name, _, value in lines if name == "Status"), "200")
                self.send_response(int(status[:3]))
                for name, _, value in lines:
                    if name != "Status":
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815 - as its base wants it

            def log_message(self, *_: Any) -> None:
                pass

        self._server, self.url = serve(Handler)

    def close(self) -> None:
        close(self._server)


def _list_commands() -> list[str]:
    """What anybody on the machine can see of the processes that this one has started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


class NpmRegistry:
    """A registry of npm with one package of several versions."""

    def __init__(self, name: str, versions: list[str]) -> None:
        archives = {version: _write_archive(name, version) for version in versions}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                file = self.path.rpartition("/")[2]
                if file.endswith(".tgz"):
                    answer = archives[file.removesuffix(".tgz")]
                else:
                    answer = json.dumps(_describe(name, archives, f"http://{self.headers['host']}")).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server, self.url = serve(Handler)

    def close(self) -> None:
        close(self._server)


def serve(handler: Any) -> tuple[ThreadingHTTPServer, str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def close(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


def _write_archive(name: str, version: str) -> bytes:
    files = {
        "package/package.json": json.dumps({"name": name, "version": version, "bin": {"pets": "server.js"}}),
        "package/server.js": JS_SERVER,
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return archive.getvalue()


def _describe(name: str, archives: dict[str, bytes], url: str) -> dict[str, Any]:
    def describe(version: str, archive: bytes) -> dict[str, Any]:
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
        dist = {"tarball": f"{url}/files/{version}.tgz", "integrity": integrity}
        return {"name": name, "version": version, "bin": {"pets": "server.js"}, "dist": dist}

    versions = {version: describe(version, archive) for version, archive in archives.items()}
    return {"name": name, "dist-tags": {"latest": max(versions)}, "versions": versions}
