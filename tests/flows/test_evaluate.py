"""`toolbox evaluate` as a process."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.flows.conftest import run_toolbox
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.service import CallRequest
from toolbox.plugins import Plugins
from toolbox.search.service import SearchQuery
from toolbox.services import open_services
from toolbox.settings import Settings

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


async def test_the_own_catalogue_is_evaluated_with_what_was_called_after_searches(
    settings: Settings, make_plugins: Callable[..., Plugins], database_url: str
) -> None:
    nothing = run_toolbox("evaluate", "--history", DATABASE_URL=database_url)
    assert (nothing.returncode, "there is no history" in nothing.stderr) == (1, True)
    async with open_services(settings, make_plugins(demo=[city_weather])) as services:
        await services.sync()
        await services.search.find_tools(SearchQuery("weather in Oslo", 5, caller="ada"))
        await services.calls.call_tool(
            CallRequest(tool_name="demo_city_weather", arguments={}, caller=Caller("ada", ALL), channel="rest")
        )
    done = run_toolbox("evaluate", "--history", "--json", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["title"], report["evaluation"]["quality"]["queries"]) == ("your catalogue with its history", 1)
    both = run_toolbox("evaluate", "--history", "tests", DATABASE_URL=database_url)
    assert both.returncode == 2


def city_weather() -> str:
    """Tell the weather of a city."""
    return "rain"


def test_a_file_without_usable_queries_is_refused(database_url: str, tmp_path: Path) -> None:
    tools, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    tools.write_text(json.dumps(TOOLS[0]))
    queries.write_text(json.dumps(QUERIES[2]))
    done = run_toolbox("evaluate", str(tools), str(queries), DATABASE_URL=database_url)
    assert done.returncode == 1
    assert "no query wants a tool" in done.stderr
