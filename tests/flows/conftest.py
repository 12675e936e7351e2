"""The installed `toolbox` command as a process of its own, as a user runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

TOOLBOX = Path(sys.executable).with_name("toolbox")
START_SECONDS = 120
STOP_SECONDS = 30


class Server(Struct):
    """A running `toolbox serve`, and what it said on the way."""

    process: subprocess.Popen[str]
    url: str
    report: str
    _later: list[str]
    _reader: threading.Thread

    def read_log(self) -> str:
        """What it said after the report, when it has ended."""
        self._reader.join(STOP_SECONDS)
        return "".join(self._later)

    def read_lines(self) -> list[dict[str, Any]]:
        """The same, of its log."""
        return [json.loads(line) for line in self.read_log().splitlines() if line.startswith("{")]

    def stop(self) -> int:
        """End it as an operator does, and give back its exit status."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that any user may reach."""
    folder = Path(tempfile.mkdtemp(prefix="tbx-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def environment(**changed: str) -> dict[str, str]:
    """This process's environment without settings of ToolBox, and with the given ones."""
    kept = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DATA_DIR", "HOST", "PORT"}
    }
    return kept | {"LOG_FORMAT": "json"} | changed


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers; `serve("--workers", "2", DATA_DIR=...)` waits until one is ready."""
    started: list[Server] = []

    def start(*arguments: str, folder: Path | None = None, **settings: str) -> Server:
        started.append(start_server(*arguments, folder=folder, **settings))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.terminate()
        server.process.communicate(timeout=STOP_SECONDS)


def start_server(*arguments: str, folder: Path | None = None, **settings: str) -> Server:
    """Start a server and wait until it is ready; its output is read on, so that it never waits for us."""
    process = subprocess.Popen(
        [TOOLBOX, "serve", "--port", "0", *arguments],
        cwd=folder,
        env=environment(**settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    return _wait_for_report(process)


def _wait_for_report(process: subprocess.Popen[str]) -> Server:
    """The report is printed when the server is ready; its last line says who has access."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("  Access"):
            match = re.search(r"MCP +(http\S+)/mcp", said)
            assert match, said
            later: list[str] = []
            reader = threading.Thread(target=later.extend, args=(process.stderr,), daemon=True)
            reader.start()
            return Server(process, match[1], said, later, reader)
    raise AssertionError(f"the server ended with {process.wait()} before it was ready:\n{said}")


def run_toolbox(*arguments: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [TOOLBOX, *arguments],
        env=environment(**settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., str]:
    """Leaves behind what pip would, a plugin of one module, and gives back the folder for PYTHONPATH."""

    def write(name: str, code: str) -> str:
        (tmp_path / f"{name}_plugin.py").write_text(code)
        record = tmp_path / f"{name}-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text(f"[toolbox]\n{name} = {name}_plugin\n")
        return str(tmp_path)

    return write
