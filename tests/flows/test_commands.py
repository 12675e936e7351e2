"""The other commands, as processes over a database of the test's own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.flows.conftest import run_toolbox

CATALOGUE = [
    {
        "id": "geo/1",
        "name": "geo.find city",
        "description": "Find a city on the map.",
        "input_schema": {"type": "dict"},
    },
    {"id": "geo/2", "name": "geo.find city", "description": "Another one of this name."},
    {"name": ""},
    "no tool",
]


def test_a_catalogue_is_imported_reported_found_and_cannot_be_called(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "geo.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in CATALOGUE))
    imported = run_toolbox("import", str(file), "--json", DATABASE_URL=database_url)
    assert imported.returncode == 1  # two lines were rejected
    (report,) = json.loads(imported.stdout)
    assert (report["added"], report["embedded"], report["source"]) == (2, 2, "import:geo")
    assert [line["line"] for line in report["rejected"]] == [3, 4]
    assert report["changes"]["type_mapped"] == 1
    assert report["examples"]["type_mapped"] == [{"line": 1, "tool": "geo_find_city", "where": "input schema /type"}]

    again = json.loads(run_toolbox("import", str(file), "--json", DATABASE_URL=database_url).stdout)[0]
    assert (again["added"], again["updated"], again["unchanged"], again["embedded"]) == (0, 0, 2, 0)

    said = run_toolbox("import", str(file), "--source", "other", DATABASE_URL=database_url).stdout
    assert said.startswith(f"{file} as import:other: ")
    assert (
        "  name made unique: 2\n    line 1, geo_find_city_3: was 'geo.find city'\n    line 2, geo_find_city_4: " in said
    )

    found = json.loads(run_toolbox("find", "a city on the map", "--json", DATABASE_URL=database_url).stdout)
    assert found[0]["metadata"]["id"] == "geo/1"
    assert found[0]["name"] == "geo_find_city"

    called = run_toolbox("call", found[0]["name"], DATABASE_URL=database_url)
    assert called.returncode == 1
    assert "no implementation" in called.stderr


def test_what_was_imported_is_removed_again_with_all_that_belongs_to_it(database_url: str, tmp_path: Path) -> None:
    for name in ("geo", "geo2"):
        lines = [tool | {"name": f"{name}_city"} for tool in CATALOGUE[:2] if isinstance(tool, dict)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    files = [str(tmp_path / "geo.jsonl"), str(tmp_path / "geo2.jsonl")]
    assert run_toolbox("import", *files, DATABASE_URL=database_url).returncode == 0

    removed = run_toolbox("import", "--remove", "geo", DATABASE_URL=database_url)
    assert (removed.returncode, removed.stdout) == (0, "import:geo: 2 tools removed\n")
    page = run_toolbox("tools", "list", "--source", "geo2", DATABASE_URL=database_url).stdout
    assert "2 of 2 tools" in page
    page = run_toolbox("tools", "list", "--source", "import:geo", DATABASE_URL=database_url).stdout
    assert "0 of 0 tools" in page
    found = json.loads(run_toolbox("find", "geo city map", "--json", DATABASE_URL=database_url).stdout)
    assert found[0]["name"].startswith("geo2_city")
    assert not any(match["name"].startswith("geo_") for match in found)

    again = run_toolbox("import", "--remove", "geo", DATABASE_URL=database_url)
    assert (again.returncode, "there is: import:geo2" in again.stderr) == (1, True)
    plugin = run_toolbox("import", "--remove", "plugin:text", DATABASE_URL=database_url)
    assert (plugin.returncode, "nothing was imported from 'import:plugin:text'" in plugin.stderr) == (1, True)
    last = run_toolbox("import", "--remove", "import:geo2", "--json", DATABASE_URL=database_url)
    assert json.loads(last.stdout) == {"source": "import:geo2", "removed": 2}
    back = json.loads(run_toolbox("import", *files, "--json", DATABASE_URL=database_url).stdout)
    assert [report["added"] for report in back] == [2, 2]


def test_plugins_says_what_is_wrong_and_fails_when_a_plugin_does(
    database_url: str, install: Callable[..., str]
) -> None:
    missing = run_toolbox("plugins", DATABASE_URL=database_url, PLUGINS_DISABLED="calcluator")
    assert (missing.returncode, "missing" in missing.stdout) == (0, True)
    assert "calcluator: PLUGINS_DISABLED: there is no plugin of this name to disable; near names: " in missing.stderr

    folder = install("forgetful", "def toolbox_tools():\n    return []\n")
    failed = run_toolbox("plugins", DATABASE_URL=database_url, PYTHONPATH=folder)
    assert (failed.returncode, "calculator" in failed.stdout, "failed" in failed.stdout) == (1, True, True)
    assert "forgetful: toolbox_tools: it is not marked as a hook" in failed.stderr
    as_json = run_toolbox("plugins", "--json", DATABASE_URL=database_url, PYTHONPATH=folder)
    assert as_json.returncode == 1
    assert {plugin["name"]: plugin["state"] for plugin in json.loads(as_json.stdout)}["forgetful"] == "failed"


def test_plugins_asks_no_database_and_changes_none() -> None:
    listed = run_toolbox("plugins", DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    assert (listed.returncode, "calculator" in listed.stdout) == (0, True)


def test_plugins_counts_all_that_a_plugin_offers(database_url: str) -> None:
    listed = run_toolbox("plugins", DATABASE_URL=database_url).stdout.splitlines()
    assert listed[0].split() == ["plugin", "version", "state", "tools", "resources", "prompts", "skills", "models"]
    as_json = json.loads(run_toolbox("plugins", "--json", DATABASE_URL=database_url).stdout)
    (plugin,) = [plugin for plugin in as_json if plugin["name"] == "time"]
    offered = [str(len(plugin[kind])) for kind in ("tools", "resources", "prompts", "skills")]
    assert ["time", plugin["version"], "loaded", *offered] in [line.split() for line in listed]


SHORT_AND_LONG = """
import toolbox

def none() -> str:
    \"\"\"Take nothing.\"\"\"
    return ""

def long() -> list[str]:
    \"\"\"Say many things.\"\"\"
    return ["abc"] * 1000

@toolbox.hookimpl
def toolbox_tools():
    return [none, long]
"""


def test_what_is_empty_is_said_in_words(database_url: str, install: Callable[..., str]) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return run_toolbox(*arguments, DATABASE_URL=database_url, PYTHONPATH=folder)

    folder = install("many", SHORT_AND_LONG)
    assert run("tools", "get", "many_none").stdout.endswith("\n\nit takes no arguments\n")
    call_id = json.loads(run("call", "many_long", "--json").stdout)["execution_id"]
    behind = run("result", call_id, "--offset", "999999")
    assert (behind.returncode, behind.stdout) == (1, "")
    assert behind.stderr == "Error: the offset 999999 is behind the end: there are 1,000 items in all\n"
    page = run("result", call_id, "--limit", "10")
    assert page.stderr.startswith("there are 1,000 items in all; more with: toolbox result ")


def test_a_list_says_how_to_see_the_rest(database_url: str) -> None:
    def listed(*options: str) -> str:
        return run_toolbox("tools", "list", *options, DATABASE_URL=database_url).stdout.splitlines()[-1].strip()

    total = len(json.loads(run_toolbox("tools", "list", "--json", DATABASE_URL=database_url).stdout))
    assert listed("--limit", "2", "--offset", "3") == f"2 of {total} tools; more with --offset 5"
    assert listed() == f"{total} of {total} tools"
    assert listed("--offset", "1000") == f"0 of {total} tools"


def test_tables_are_for_people(database_url: str) -> None:
    for arguments, said in (
        (("plugins",), "calculator"),
        (("tools", "list", "--category", "text"), "text_reverse"),
        (("tools", "get", "text_reverse"), "required"),
        (("find", "reverse a text"), "text_reverse"),
        (("call", "text_reverse", "text=abc"), "cba"),
        (("call", "text_count", "text=one two"), '"words": 2'),
        (("db", "status"), "the newest is"),
        (("sync",), "unchanged"),
        (("tools", "list"), "calculator_compound_interest"),
        (("tools", "get", "data_json_to_csv"), '"," | ";" | '),
    ):
        done = run_toolbox(*arguments, DATABASE_URL=database_url, COLUMNS="20")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout, (arguments, done.stdout)
        assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_what_goes_wrong_is_said_in_a_sentence_with_the_right_status(database_url: str) -> None:
    for arguments, status, said in (
        (("call", "nothing"), 1, "there is no tool 'nothing'"),
        (("call", "text_reverse"), 1, "text"),
        (("call", "text_reverse", "abc"), 1, "name=value"),
        (("call", "text_reverse", "{broken"), 1, "not a JSON object"),
        (("call", "text_reverse", "text=a", "text=b"), 1, "'text' is given more than once"),
        (("call", "qqq"), 1, "there is no tool 'qqq'; `toolbox find` searches by meaning"),
        (("tools", "get", "text_revers"), 1, "text_reverse"),
        (("find", " "), 1, "empty"),
        (("find", "x", "--limit", "0"), 2, "--limit"),
        (("find",), 2, "QUERY"),
        (("nonsense",), 2, "nonsense"),
        (("import", "/does/not/exist"), 2, "does not exist"),
        (("import",), 2, "--remove SOURCE"),
        (("import", __file__, "--remove", "x"), 2, "--remove SOURCE alone"),
        (("find", "x", "--url", "http://127.0.0.1:1"), 1, "cannot be reached"),
        (("toolsets", "show", "nope"), 1, "no toolset 'nope'; `toolbox toolsets list` lists those that there are"),
        (("toolsets", "delete", "none"), 1, "no toolset 'none'; `toolbox toolsets list` lists those that there are"),
    ):
        done = run_toolbox(*arguments, DATABASE_URL=database_url)
        assert done.returncode == status, (arguments, done.stderr)
        assert said in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_schema_goes_down_and_up(empty_database_url: str) -> None:
    assert "base" in run_toolbox("db", "status", DATABASE_URL=empty_database_url).stdout
    up = run_toolbox("db", "upgrade", DATABASE_URL=empty_database_url)
    assert up.returncode == 0, up.stderr
    status = json.loads(run_toolbox("db", "status", "--json", DATABASE_URL=empty_database_url).stdout)
    assert status["is_current"] is True
    down = run_toolbox("db", "downgrade", "base", "--yes", DATABASE_URL=empty_database_url)
    assert "base" in down.stdout
    wrong = run_toolbox("db", "upgrade", "nope", DATABASE_URL=empty_database_url)
    assert (wrong.returncode, "Traceback" in wrong.stderr, "'nope'" in wrong.stderr) == (1, False, True)
