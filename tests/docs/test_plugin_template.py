"""A third party's plugin, installed from outside the repository into an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

INHERITED = ("VIRTUAL_ENV", "PYTEST_", "COVERAGE_", "COV_CORE_")
"""What this run of the tests leaves in the environment, and a third party does not have."""

ROOT = Path(__file__).resolve().parents[2]


class Environment:
    """A clean virtual environment with ToolBox installed from its wheel, as the lock says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "environment"
        self._variables = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED)}
        self.run("uv", "venv", "--quiet", self.folder)
        self.install("--require-hashes", "-r", ROOT / "requirements.lock")
        self.run(
            "uv",
            "build",
            "-q",
            "--wheel",
            "--no-build-isolation",
            "--python",
            sys.executable,
            "-o",
            folder / "dist",
            ROOT,
        )
        self.install("--no-deps", *(folder / "dist").glob("*.whl"))

    def install(self, *what: str | Path) -> None:
        self.run("uv", "pip", "install", "--quiet", "--no-build-isolation", "--python", self.folder, *what)

    def run(self, *command: str | Path, cwd: Path | None = None, **settings: str) -> str:
        done = subprocess.run(
            command, cwd=cwd or self.folder.parent, env=self._variables | settings, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def program(self, name: str) -> Path:
        return self.folder / "bin" / name


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("outside")
    yield Environment(folder)
    shutil.rmtree(folder)


def test_the_template_is_installed_found_called_and_tests_itself(
    environment: Environment, database_url: str, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin"
    shutil.copytree(ROOT / "docs" / "plugin-template", plugin)
    environment.install("--no-deps", plugin)
    toolbox = environment.program("toolbox")

    plugins = json.loads(environment.run(toolbox, "plugins", "--json", DATABASE_URL=database_url))
    assert [(listed["name"], listed["tools"], listed["problems"]) for listed in plugins] == [
        ("greeting", ["greeting_greet"], [])
    ]
    called = environment.run(
        toolbox, "call", "greeting_greet", "name=Ada", "language=fr", "--json", DATABASE_URL=database_url
    )
    assert json.loads(called)["result"] == {"text": "Bonjour, Ada!", "language": "fr"}
    found = environment.run(toolbox, "find", "say hello to somebody", "--json", DATABASE_URL=database_url)
    assert json.loads(found)[0]["name"] == "greeting_greet"
    said = environment.run(environment.program("python"), "-m", "pytest", "-q", plugin, cwd=plugin)
    assert "5 passed" in said
    assert "arning" not in said
