"""The other commands, as processes over a database of the test's own."""

import json
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

    again = json.loads(run_toolbox("import", str(file), "--json", DATABASE_URL=database_url).stdout)[0]
    assert (again["added"], again["updated"], again["unchanged"], again["embedded"]) == (0, 0, 2, 0)

    found = json.loads(run_toolbox("find", "a city on the map", "--json", DATABASE_URL=database_url).stdout)
    assert found[0]["metadata"]["id"] == "geo/1"
    assert found[0]["name"] == "geo_find_city"

    called = run_toolbox("call", found[0]["name"], DATABASE_URL=database_url)
    assert called.returncode == 1
    assert "no implementation" in called.stderr


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
    ):
        done = run_toolbox(*arguments, DATABASE_URL=database_url)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout, (arguments, done.stdout)


def test_what_goes_wrong_is_said_in_a_sentence_with_the_right_status(database_url: str) -> None:
    for arguments, status, said in (
        (("call", "nothing"), 1, "there is no tool 'nothing'"),
        (("call", "text_reverse"), 1, "text"),
        (("call", "text_reverse", "abc"), 1, "name=value"),
        (("call", "text_reverse", "{broken"), 1, "not a JSON object"),
        (("tools", "get", "text_revers"), 1, "text_reverse"),
        (("find", " "), 1, "empty"),
        (("find", "x", "--limit", "0"), 2, "--limit"),
        (("find",), 2, "QUERY"),
        (("nonsense",), 2, "nonsense"),
        (("import", "/does/not/exist"), 2, "does not exist"),
        (("find", "x", "--url", "http://127.0.0.1:1"), 1, "cannot be reached"),
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
