"""`toolbox evaluate` as a process."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from tests.conftest import execute, in_database
from tests.embeddings.endpoint_server import DIMENSIONS, Answer, good, running_apart
from tests.flows.conftest import TOOLBOX, environment, run_toolbox
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.service import CallRequest
from toolbox.cli.scratch import IN_USE, scratch_database
from toolbox.database import open_connection
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
    table = run_toolbox(*arguments, "--html", "/dev/full", DATABASE_URL=database_url)
    assert "typos" in table.stdout
    assert "abstention AUC" in table.stdout
    assert table.returncode == 1
    assert "Error: the page cannot be written to /dev/full: No space left" in table.stderr


def test_what_use_brings_is_measured_with_queries_that_were_not_used(database_url: str, tmp_path: Path) -> None:
    tools, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    tools.write_text("\n".join(json.dumps({"id": name, "name": name, "description": "Run a job."}) for name in JOBS))
    labelled = [{"query": query, "relevant": [name]} for name, asked in JOBS.items() for query in asked]
    queries.write_text("\n".join(json.dumps(query) for query in labelled))
    arguments = ["evaluate", str(tools), str(queries), "--cache", str(tmp_path / "cache"), "--uses"]
    done = run_toolbox(*arguments, "2", "--json", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    asked = report["evaluation"]["quality"]["queries"]
    assert (report["used"], asked) == (4, 2)
    assert set(report["ablated"]) == {"use"}
    assert report["evaluation"]["quality"]["recall"]["1"] == 1
    assert report["brings"]["use"] > 0
    none_left = run_toolbox(*arguments, "3", DATABASE_URL=database_url)
    assert (none_left.returncode, "no query is left to ask: no tool has more than 3" in none_left.stderr) == (1, True)
    history = run_toolbox("evaluate", "--history", "--uses", "1", DATABASE_URL=database_url)
    assert (history.returncode, "--uses needs TOOLS and QUERIES" in history.stderr) == (2, True)


JOBS = {
    "job_a": ["pay the salaries of november", "pay the salaries of june", "pay the salaries of march"],
    "job_b": ["water the plants in the hall", "water the plants upstairs", "water the plants outside"],
}


def test_what_cannot_be_written_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    file, page = tmp_path / "lines.jsonl", tmp_path / "page.html"
    file.touch()
    page.write_text("an older page")
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    for places, problem in [
        (["--html", str(tmp_path / "missing" / "page.html")], "no page can be written to"),
        (["--html", str(page), "--cache", str(file / "cache")], "embeddings cannot be kept in"),
    ]:
        done = run_toolbox("evaluate", str(file), str(file), *places, DATABASE_URL=nowhere)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {problem} {places[-1]}: No")
    assert page.read_text() == "an older page"


async def test_the_database_of_an_evaluation_that_was_killed_is_dropped_by_the_next(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    tools, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    tools.write_text(json.dumps(TOOLS[0]))
    queries.write_text(json.dumps(QUERIES[0]))
    with running_apart() as endpoint:
        endpoint.server.behave = lambda asked: None
        killed = await asyncio.create_subprocess_exec(
            TOOLBOX,
            *("evaluate", tools, queries, "--cache", tmp_path),
            env=environment(
                DATABASE_URL=database_url,
                EMBEDDING_ENDPOINT_URL=endpoint.server.url,
                EMBEDDING_MODEL="words",
                EMBEDDING_DIMENSION=str(DIMENSIONS),
            ),
            stderr=asyncio.subprocess.DEVNULL,
        )
        while not endpoint.server.asked:
            await asyncio.sleep(0.01)
        during = await evaluation_databases(database_url)
        async with scratch_database(settings):
            assert during <= await evaluation_databases(database_url)
        killed.kill()
        await killed.wait()
    assert during
    while during & await evaluation_databases(database_url):  # until PostgreSQL has noticed
        async with scratch_database(settings):
            pass


async def test_databases_that_are_used_or_another_persons_stay(settings: Settings, database_url: str) -> None:
    mark = uuid4().hex[:8]
    left, connected, locked, other = (f"toolbox_evaluation_{mark}{end}" for end in ("aaaa", "bbbb", "cccc", "_own"))
    await execute(database_url, *(f"create database {name}" for name in (left, connected, locked, other)))
    async with open_connection(in_database(database_url, connected)), open_connection(database_url) as holder:
        await holder.execute("select pg_advisory_lock($1, $2)", IN_USE, int(locked[-7:], 16))
        async with scratch_database(settings) as scratch:
            assert scratch.database_url is not None
            own = urlsplit(scratch.database_url.reveal()).path[1:]
            there = await evaluation_databases(database_url)
            assert {left, connected, locked, other, own} & there == {connected, locked, other, own}
    assert own not in await evaluation_databases(database_url)
    await execute(database_url, *(f"drop database {name}" for name in (connected, locked, other)))


async def evaluation_databases(url: str) -> set[str]:
    async with open_connection(url) as connection:
        rows = await connection.fetch("select datname from pg_database where datname like 'toolbox\\_evaluation\\_%'")
    return {row["datname"] for row in rows}


def test_figures_of_words_alone_are_not_said_to_be_those_of_the_model(database_url: str, tmp_path: Path) -> None:
    tools, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    tools.write_text("\n".join(json.dumps(tool) for tool in TOOLS))
    queries.write_text("\n".join(json.dumps(query) for query in QUERIES))
    with running_apart() as endpoint:
        endpoint.server.behave = lambda asked: Answer("no mail here", 400) if "mail Ann" in asked.texts else good(asked)
        done = run_toolbox(
            "evaluate",
            str(tools),
            str(queries),
            "--cache",
            str(tmp_path / "cache"),
            DATABASE_URL=database_url,
            EMBEDDING_ENDPOINT_URL=endpoint.server.url,
            EMBEDDING_MODEL="words",
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: the model failed on 1 of 2 queries" in done.stderr
    assert "no mail here" in done.stderr


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
