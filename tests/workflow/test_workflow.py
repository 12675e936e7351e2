"""The workflow file for those who build ToolBox elsewhere."""

import json
import os
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    content: dict[str, Any] = yaml.load((ROOT / ".github/workflows/ci.yaml").read_text(), yaml.BaseLoader)
    return content


def test_it_is_as_the_schema_wants_it(workflow: dict[str, Any]) -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/github-workflows.json").read_text())
    plain = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())
    plain["on"] = plain.pop(True)  # YAML 1.1 reads "on" as true
    found = [f"{list(e.instance_path)}: {e.message}" for e in jsonschema_rs.validator_for(schema).iter_errors(plain)]
    assert found == []


def test_each_step_is_a_script_that_is_there_or_prepares_the_machine(workflow: dict[str, Any]) -> None:
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    scripts = {match for command in commands for match in re.findall(r"(?:\.ci|\.dev|tests)/[\w./-]+", command)}
    assert scripts >= {
        ".ci/run",
        ".ci/python",
        "tests/image/run.sh",
        ".ci/audit",
        ".ci/licences",
        ".ci/sbom",
        ".ci/release-notes",
    }
    for script in scripts:
        assert os.access(ROOT / script, os.X_OK), script
    others = [command for command in commands if not re.search(r"(?:\.ci|\.dev|tests)/\w", command)]
    assert all(re.match(r"(sudo )?(apt-get|podman save|gh release)", command) for command in others), others


def test_actions_are_pinned(workflow: dict[str, Any]) -> None:
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.search(r"@v?\d", action) for action in used)


def test_release_notes_are_what_the_changelog_says() -> None:
    version = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    notes = subprocess.run([ROOT / ".ci/release-notes", version[1]], capture_output=True, text=True, check=True).stdout
    assert notes.strip().startswith("- ")
    assert notes.strip() in (ROOT / "CHANGELOG.md").read_text()
    missing = subprocess.run([ROOT / ".ci/release-notes", "9.9.9"], capture_output=True, text=True)
    assert (missing.returncode, missing.stderr) == (1, "CHANGELOG.md says nothing of 9.9.9\n")


def test_licences_of_all_packages_are_known() -> None:
    checked = subprocess.run([ROOT / ".dev/run", ROOT / ".ci/licences"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_an_audit_that_cannot_ask_says_that_it_has_not_checked() -> None:
    proxies = dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1"
    )
    nowhere = os.environ | proxies | {"NO_PROXY": "", "no_proxy": ""}
    audited = subprocess.run([ROOT / ".ci/audit"], env=nowhere, capture_output=True, text=True)
    assert audited.returncode == 3, audited.stdout
    assert audited.stderr.endswith("not checked: known vulnerabilities cannot be had\n")
