"""`toolbox evaluate` as a process."""

import json
from pathlib import Path

from tests.flows.conftest import run_toolbox

TOOLS = [
    {"id": "t/1", "name": "city_weather", "description": "Tell the weather of a city."},
    {"id": "t/2", "name": "send_mail", "description": "Send a mail to somebody."},
    {"id": "t/3", "name": "resize_image", "description": "Make a picture smaller."},
]
QUERIES = [
    {"query": "what is the weather in Oslo", "relevant": ["t/1"]},
    {"query": "mail Ann", "relevant": ["t/2"], "category": "mail"},
    {"query": "anything", "relevant": ["missing"]},
]


def test_a_catalogue_is_evaluated_and_nothing_stays(database_url: str, tmp_path: Path) -> None:
    tools, queries, page = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl", tmp_path / "page.html"
    tools.write_text("\n".join(json.dumps(tool) for tool in TOOLS))
    queries.write_text("\n".join(json.dumps(query) for query in QUERIES))
    arguments = ["evaluate", str(tools), str(queries), "--cache", str(tmp_path / "cache"), "--ablate", "--typos"]
    done = run_toolbox(*arguments, "--html", str(page), "--json", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["tools"], report["left_out"]) == (3, 1)
    assert report["evaluation"]["quality"]["recall"]["1"] == 1
    assert set(report["ablated"]) == {"meaning", "words", "clauses", "corrections", "names"}
    assert f"the page with plots is at {page}\n" in done.stderr
    assert "<svg" in page.read_text()
    assert "http" not in page.read_text()
    table = run_toolbox(*arguments, DATABASE_URL=database_url)
    assert "typos" in table.stdout
    assert "abstention AUC" in table.stdout


def test_a_file_without_usable_queries_is_refused(database_url: str, tmp_path: Path) -> None:
    tools, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    tools.write_text(json.dumps(TOOLS[0]))
    queries.write_text(json.dumps(QUERIES[2]))
    done = run_toolbox("evaluate", str(tools), str(queries), DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "no query wants a tool" in done.stderr
