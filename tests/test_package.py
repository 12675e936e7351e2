"""The package itself: what it loads, and what is installed."""

import re
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


@pytest.mark.parametrize("arguments", [["--check"]])
def test_the_documented_settings_are_those_of_the_code(arguments: list[str]) -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / ".dev" / "settings", *arguments], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
