"""What can be said of the images without building them; tests/image/run.sh builds and runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint comes for Linux only")
def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("target", ["slim", "full"])
def test_what_an_image_installs_is_locked_with_hashes(target: str) -> None:
    names = (ROOT / f".dev/{target}.packages").read_text().split()
    locked = subprocess.run([ROOT / ".dev/locked", *names], capture_output=True, text=True, check=True).stdout
    pins = [line for line in locked.splitlines() if not line.startswith(" ")]
    assert {pin.partition("==")[0] for pin in pins} == set(names)
    assert locked.count("--hash=sha256:") >= len(pins)
    assert ("onnxruntime" in names) == (target == "full")


def test_a_name_that_is_not_locked_is_refused() -> None:
    refused = subprocess.run([ROOT / ".dev/locked", "nothing"], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (1, "nothing is not in requirements.lock\n")


def test_the_lists_are_made_from_the_projects_of_today() -> None:
    """Whoever adds a dependency runs .dev/lock, which makes them."""
    names = set((ROOT / ".dev/slim.packages").read_text().split())
    wanted = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("]\n")[0]
    assert {re.split(r"[><=;\[ ]", name)[0] for name in re.findall(r'"([^"]+)"', wanted)} <= names
