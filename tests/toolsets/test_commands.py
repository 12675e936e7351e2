"""toolbox toolsets: from a file into the catalogue, and back onto the screen."""

import json
from pathlib import Path

from tests.flows.conftest import run_toolbox
from toolbox.cli.toolsets import MEMBERS_SHOWN

FILE = {"toolsets": {"mine": {"title": "Mine", "rules": {"include": [{"source": "plugin:*"}]}}}}


def test_a_file_is_applied_shown_and_deleted(database_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return run_toolbox("toolsets", *arguments, DATABASE_URL=database_url).stdout

    file = tmp_path / "toolsets.json"
    file.write_text(json.dumps(FILE))
    applied = run("apply", str(file))
    (listed,) = json.loads(run("list", "--json"))
    assert applied == f"mine: created, {listed['tools']} tools\n"
    assert run("apply", str(file)) == f"mine: unchanged, {listed['tools']} tools\n"
    assert (listed["name"], listed["endpoint"], listed["is_direct"]) == ("mine", "/toolsets/mine/mcp", True)
    assert "Mine" in run("list")

    first = json.loads(run("show", "mine", "--json"))["first_tools"]
    assert len(first) == MEMBERS_SHOWN < listed["tools"]
    shown = run("show", "mine")
    assert f"{first[-1]}\n... and {listed['tools'] - MEMBERS_SHOWN} more" in shown
    assert shown.startswith("name: mine\nendpoint: /toolsets/mine/mcp\n")
    assert "\nis_direct: true\n" in shown
    assert '\ninclude: {"source":"plugin:*"}\n' in shown
    in_public = run_toolbox("toolsets", "show", "mine", DATABASE_URL=database_url, PUBLIC_URL="https://tools.example")
    assert "\nendpoint: https://tools.example/toolsets/mine/mcp\n" in in_public.stdout

    assert run("delete", "mine") == "mine: deleted\n"
    gone = run_toolbox("toolsets", "show", "mine", DATABASE_URL=database_url)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "there is no toolset 'mine'" in gone.stderr


def test_a_toolset_without_a_tool_is_warned_of(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "toolsets.toml"
    file.write_text('[toolsets.none]\nrules.include = [{name = "nothing_*"}]\n')
    applied = run_toolbox("toolsets", "apply", str(file), DATABASE_URL=database_url)
    assert (applied.returncode, applied.stdout) == (0, "none: created, 0 tools\n")
    assert applied.stderr == "Warning: no tool is in none: no rule matches any, or others exclude them\n"
