"""The package itself: what it loads, and what is installed."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def test_importing_toolbox_loads_nothing_heavy() -> None:
    code = "import sys, toolbox; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"litestar", "sqlalchemy", "asyncpg", "numpy", "onnxruntime", "httpx", "redis"}.isdisjoint(loaded)


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    stripped = (re.sub(r"\s+--hash=\S+", "", line).strip() for line in lines)
    return [Requirement(line) for line in stripped if line and not line.startswith("#")]


def test_the_lock_names_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))


def test_exactly_what_is_locked_is_installed() -> None:
    wanted = [requirement for requirement in locked() if not requirement.marker or requirement.marker.evaluate()]
    assert len(wanted) > 50
    different = {}
    for requirement in wanted:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = "nothing"
        if not requirement.specifier.contains(installed, prereleases=True):
            different[str(requirement)] = installed
    assert different == {}


PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1"

[tool.hatch.build.targets.wheel]
bypass-selection = true
"""
BUILDERS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")


class Checkout:
    """A small project with our own `.dev/run`, and a lock of some of our packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, where in (("ours", "project"), ("part", "project/plugins/part"), ("theirs", "theirs")):
            (folder / where).mkdir(parents=True)
            (folder / where / "pyproject.toml").write_text(PROJECT.format(name=name))
        (folder / "project" / ".dev").mkdir()
        shutil.copy(ROOT / ".dev" / "run", folder / "project" / ".dev")

    def lock(self, *names: str) -> None:
        entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
        kept = [entry for entry in entries if entry.partition("==")[0] in names]
        (self.folder / "project" / "requirements.lock").write_text("\n".join(kept) + "\n")

    def run(self, *command: str) -> str:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        done = subprocess.run(
            [self.folder / "project" / ".dev" / "run", *command], env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def installed(self) -> set[str]:
        """Packages as name==version; those in folders by their names."""
        lines = self.run("uv", "pip", "list", "--format", "freeze").splitlines()
        return {line.removesuffix("==1") for line in lines}


def test_a_new_lock_keeps_what_the_user_installed_and_removes_what_it_names_no_more(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.lock(*BUILDERS, "idna", "sniffio")
    checkout.run("uv", "pip", "install", "-q", "--no-build-isolation", "-e", str(tmp_path / "theirs"), "idna==3.7")
    before = checkout.installed()
    assert {"ours", "part", "theirs", "idna==3.7"} < before

    checkout.lock(*BUILDERS, "idna")
    after = checkout.installed()
    assert {package.partition("==")[0] for package in before - after} == {"idna", "sniffio"}
    assert after - before == {str(package) for package in locked() if package.name == "idna"}


@pytest.mark.parametrize("arguments", [["--check"]])
def test_the_documented_settings_are_those_of_the_code(arguments: list[str]) -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / ".dev" / "settings", *arguments], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
