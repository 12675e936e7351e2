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
    assert run("apply", str(file)) == "mine: created\n"
    assert run("apply", str(file)) == "mine: unchanged\n"
    (listed,) = json.loads(run("list", "--json"))
    assert (listed["name"], listed["endpoint"], listed["is_direct"]) == ("mine", "/toolsets/mine/mcp", True)
    assert "Mine" in run("list")

    first = json.loads(run("show", "mine", "--json"))["first_tools"]
    assert len(first) == MEMBERS_SHOWN < listed["tools"]
    assert f"{first[-1]}\n... and {listed['tools'] - MEMBERS_SHOWN} more" in run("show", "mine")

    assert run("delete", "mine") == "mine: deleted\n"
    gone = run_toolbox("toolsets", "show", "mine", DATABASE_URL=database_url)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "there is no toolset 'mine'" in gone.stderr
