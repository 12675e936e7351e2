"""Starts ToolBox with the conformance plugin, lets the suite loose on it, and says what came of each leg."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import IO

from tests.conformance.legs import Leg, Outcome, choose_legs, read_outcome, write_table
from toolbox.plugins import Plugins
from toolbox.settings import Settings

TOOLBOX = Path(sys.executable).with_name("toolbox")
LEG_SECONDS = 300
STOP_SECONDS = 30


def main() -> int:
    """Run the legs that the command line names."""
    parser = _create_parser()
    given = parser.parse_args()
    try:
        legs = choose_legs(given.legs)
    except ValueError as error:
        parser.error(str(error))
    if given.versions:
        print(*sorted({leg.version for leg in legs}))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is ended too
    with _serving(given.cache / "plugin") as url:
        outcomes = [_run(leg, given.node, given.cache, url) for leg in legs]
    print(write_table(outcomes))
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"{outcome.leg.name}: {fault}")
    return int(any(outcome.faults for outcome in outcomes))


def _create_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("legs", nargs="*", help="all of them if none is named")
    parser.add_argument("--versions", action="store_true", help="only say which versions of the suite the legs need")
    parser.add_argument("--node", type=Path)
    parser.add_argument("--cache", type=Path, help="has the suites, by version, and the installed plugin")
    return parser


def _run(leg: Leg, node: Path, cache: Path, url: str) -> Outcome:
    suite = cache / leg.version / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            [node, suite, "server", "--url", f"{url}/mcp", *leg.arguments, "-o", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LEG_SECONDS,
        )
        return read_outcome(leg, Path(folder), ended.stdout, ended.returncode)


@contextlib.contextmanager
def _serving(plugin: Path) -> Iterator[str]:
    """The URL of a server that lists all tools of the plugin, on a free port, over a database of its own."""
    with tempfile.TemporaryDirectory(prefix="tbx-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may have to run as another user
        pinned = ",".join(_find_tools(plugin))
        settings = {"DATA_DIR": f"{folder}/data", "PINNED_TOOLS": pinned, "LOG_LEVEL": "ERROR"}
        process = subprocess.Popen(
            [TOOLBOX, "serve", "--port", "0", "--workers", "2"],  # so that two processes share each client
            env=_environment() | settings | {"PYTHONPATH": str(plugin)},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            url = _read_url(process.stderr)
            threading.Thread(target=_pass_on, args=[process.stderr], daemon=True).start()
            yield url
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _find_tools(plugin: Path) -> list[str]:
    sys.path.insert(0, str(plugin))
    plugins = Plugins()
    plugins.load([EntryPoint("test", "toolbox_conformance", "toolbox")])
    plugins.refuse_problems()
    return list(plugins.tools)


def _environment() -> dict[str, str]:
    """This process's environment without settings of ToolBox."""
    settings = {name.upper() for name in Settings.__struct_fields__}
    return {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in settings}


def _read_url(said: IO[str]) -> str:
    """Where the server is; it says so when it is ready, and last who has access."""
    lines = list[str]()
    for line in said:
        lines.append(line)
        if line.startswith("  Access") and (match := re.search(r"MCP +(http\S+)/mcp", "".join(lines))):
            return match[1]
    raise RuntimeError("the server ended before it was ready:\n" + "".join(lines))


def _pass_on(said: IO[str]) -> None:
    for line in said:
        sys.stderr.write(line)


if __name__ == "__main__":
    sys.exit(main())
