"""Sync: the catalogue becomes what plugins offer, whatever happens on the way."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import numpy
import pytest

from toolbox.cli.catalogue import IMPORT_SOURCE
from toolbox.database import Database, open_database
from toolbox.definitions import ToolDefinition
from toolbox.errors import EmbeddingError
from toolbox.index.embeddings import BATCH, Model, register_model
from toolbox.tools.function import FunctionTool
from toolbox.tools.loading import PLUGIN_SOURCE
from toolbox.tools.openapi_import import OPENAPI_SOURCE
from toolbox.tools.registry import RegisteredTool
from toolbox.tools.replicas import Elsewhere, Replica
from toolbox.tools.repository import KINDS_OF_SOURCES, IndexedTool, ToolFilter, ToolRepository
from toolbox.tools.sync import SyncReport, embed_missing, import_tools, make_plan, sync_plugins
from toolbox.upstreams import merging, tool


class CountingEmbedder:
    """A real embedder of three dimensions: letters, digits, the rest. It counts what it was given."""

    name = "counting"
    dimensions = 3

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fails_after: int | None = None

    async def embed(self, texts: Sequence[str], purpose: str) -> Any:
        if self.fails_after is not None and len(self.texts) + len(texts) > self.fails_after:
            raise EmbeddingError("the model is out of order")
        self.texts += texts
        counts = [
            [
                1 + sum(character.isalpha() for character in text),
                sum(character.isdigit() for character in text),
                sum(not character.isalnum() for character in text),
            ]
            for text in texts
        ]
        vectors = numpy.array(counts, dtype=numpy.float32)
        return vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=4, timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
async def embed(database: Database, embedder: CountingEmbedder) -> tuple[Model, CountingEmbedder]:
    return await register_model(database, embedder), embedder


def offer(name: str, description: str = "Does a thing.", version: str = "1.0", source: str = "plugin:demo") -> Any:
    def function() -> None: ...

    tool = FunctionTool(function)
    return RegisteredTool(ToolDefinition(name=name, description=description), tool, source, version)


async def active_names(database: Database) -> list[str]:
    page = await ToolRepository(database).list_tools(ToolFilter(), limit=1000, offset=0)
    return [tool.name for tool in page.tools]


async def test_new_changed_and_missing_tools_are_written_embedded_and_hidden(
    database: Database, embed: tuple[Model, CountingEmbedder]
) -> None:
    first = await sync_plugins(database, [offer("a"), offer("b")], replica_id=None, embed=embed)
    assert first == SyncReport(added=("a", "b"), embedded=2)
    second = await sync_plugins(database, [offer("a", "Does more."), offer("c")], replica_id=None, embed=embed)
    assert second == SyncReport(added=("c",), updated=("a",), hidden=("b",), embedded=2)
    assert await active_names(database) == ["a", "c"]
    third = await sync_plugins(database, [offer("a", "Does more."), offer("b")], replica_id=None, embed=embed)
    assert third == SyncReport(shown=("b",), hidden=("c",), unchanged=1)


async def test_a_restart_embeds_and_writes_nothing(database: Database, embed: tuple[Model, CountingEmbedder]) -> None:
    offered = [offer(f"tool_{number}") for number in range(5)]
    await sync_plugins(database, offered, replica_id=None, embed=embed)
    before = await database.fetch("select updated_at from tools order by id")
    again = await sync_plugins(database, offered, replica_id=None, embed=embed)
    assert again == SyncReport(unchanged=5)
    assert len(embed[1].texts) == 5
    assert await database.fetch("select updated_at from tools order by id") == before


async def test_a_change_that_no_text_shows_is_written_but_not_embedded_again(
    database: Database, embed: tuple[Model, CountingEmbedder]
) -> None:
    await sync_plugins(database, [offer("a")], replica_id=None, embed=embed)
    changed = RegisteredTool(
        ToolDefinition(name="a", description="Does a thing.", timeout_seconds=5), offer("a").tool, "plugin:demo", "1.1"
    )
    report = await sync_plugins(database, [changed], replica_id=None, embed=embed)
    assert (report.updated, report.embedded) == (("a",), 0)


async def test_an_embedder_that_fails_costs_no_tool_and_no_finished_batch(
    database: Database, embed: tuple[Model, CountingEmbedder]
) -> None:
    offered = [offer(f"tool_{number:03}") for number in range(2 * BATCH)]
    embed[1].fails_after = BATCH
    with pytest.raises(EmbeddingError):
        await sync_plugins(database, offered, replica_id=None, embed=embed)
    assert len(await active_names(database)) == 2 * BATCH
    embed[1].fails_after = None
    report = await sync_plugins(database, offered, replica_id=None, embed=embed)
    assert report == SyncReport(unchanged=2 * BATCH, embedded=BATCH)
    assert len(embed[1].texts) == 2 * BATCH


async def test_replicas_that_sync_at_once_do_the_work_once(
    database: Database, embed: tuple[Model, CountingEmbedder]
) -> None:
    offered = [offer(f"tool_{number}") for number in range(20)]
    reports = await asyncio.gather(*(sync_plugins(database, offered, replica_id=None, embed=embed) for _ in range(4)))
    assert sorted(len(report.added) for report in reports) == [0, 0, 0, 20]
    assert len(embed[1].texts) == 20
    assert (await database.fetch("select count(*) as n from tool_versions"))[0]["n"] == 20


async def test_a_tool_stays_while_another_living_replica_offers_it(
    database: Database, embed: tuple[Model, CountingEmbedder]
) -> None:
    old, new = Replica(database, uuid4()), Replica(database, uuid4())
    await old.announce([offer("a"), offer("b")])
    await sync_plugins(database, [offer("a"), offer("b")], replica_id=old.id, embed=embed)
    await new.announce([offer("a", "New.", "2.0")])
    report = await sync_plugins(database, [offer("a", "New.", "2.0")], replica_id=new.id, embed=embed)
    assert (report.updated, report.hidden) == (("a",), ())
    overwritten = await sync_plugins(database, [offer("a"), offer("b")], replica_id=old.id, embed=embed)
    assert overwritten.updated == ()
    await old.leave()
    report = await sync_plugins(database, [offer("a", "New.", "2.0")], replica_id=new.id, embed=embed)
    assert report.hidden == ("b",)


async def test_an_earlier_version_is_gone_back_to_once_no_replica_has_the_newer_one(database: Database) -> None:
    first, second = Replica(database, uuid4()), Replica(database, uuid4())
    old, new = [offer("a", version="1.9")], [offer("a", "New.", "1.10")]
    for replica in (first, second):
        await replica.announce(new)
        await sync_plugins(database, new, replica_id=replica.id, embed=None)
    await first.announce(old)
    assert (await sync_plugins(database, old, replica_id=first.id, embed=None)).updated == ()
    await second.announce(old)
    assert (await sync_plugins(database, old, replica_id=second.id, embed=None)).updated == ("a",)


async def test_what_waits_is_withdrawn_when_its_source_offers_something_else(database: Database) -> None:
    async def waiting() -> list[int]:
        rows = await database.fetch("select number from tool_versions where review = 'waiting' order by number")
        return [row["number"] for row in rows]

    async def sync(description: str, version: str = "1.0") -> SyncReport:
        return await sync_plugins(database, [offer("a", description, version)], replica_id=None, embed=None)

    await sync("Approved.")
    await database.execute("insert into source_policies (source, on_change) values ('plugin:*', 'hold')")
    assert ((await sync("Other.")).withheld, await waiting()) == (("a",), [2])
    report = await sync("Another.")
    assert (report.withheld, report.withdrawn, await waiting()) == (("a",), ("a",), [3])
    assert await sync("Approved.") == SyncReport(withdrawn=("a",), unchanged=1)
    assert (await waiting(), await sync("Approved.")) == ([], SyncReport(unchanged=1))

    await Replica(database, uuid4()).announce([offer("a", "Other.", "2.0")])
    assert ((await sync("Other.", "2.0")).withheld, await waiting()) == (("a",), [4])
    assert (await sync("Approved.")).withdrawn == (), "a roll-out is on its way"


async def test_a_new_tool_that_is_changed_before_it_was_approved_waits_as_it_is_offered(database: Database) -> None:
    await database.execute("insert into source_policies (source, on_change) values ('plugin:*', 'hold')")
    for description in ("One.", "Two.", "One."):
        assert (await sync_plugins(database, [offer("a", description)], replica_id=None, embed=None)).withheld == ("a",)
        (row,) = await database.fetch(
            """
            select v.definition->>'description' as waiting, t.description, t.active from tool_versions v
            join tools t on t.id = v.tool_id where v.review = 'waiting'
            """
        )
        assert dict(row) == {"waiting": description, "description": description, "active": False}


async def test_a_replica_that_was_killed_counts_as_gone_after_a_while(database: Database) -> None:
    await Replica(database, uuid4()).announce([offer("a")])
    await sync_plugins(database, [offer("a")], replica_id=None, embed=None)
    assert (await sync_plugins(database, [], replica_id=None, embed=None)).hidden == ()
    await database.execute("update replicas set seen_at = now() - interval '1 minute'")
    assert (await sync_plugins(database, [], replica_id=None, embed=None)).hidden == ("a",)


async def test_a_name_that_belongs_to_another_source_is_a_conflict(database: Database) -> None:
    await import_tools(database, [ToolDefinition(name="a", description="imported")], source="import:x")
    report = await sync_plugins(database, [offer("a"), offer("b")], replica_id=None, embed=None)
    assert report.added == ("b",)
    assert report.conflicts == ("a of plugin:demo: the name belongs to import:x",)
    tool = await ToolRepository(database).get_tool("a")
    assert tool is not None
    assert tool.description == "imported"


async def test_importing_again_changes_nothing_and_an_import_is_all_or_nothing(database: Database) -> None:
    definitions = [ToolDefinition(name=f"tool_{number}", description="x") for number in range(3)]
    assert len((await import_tools(database, definitions, source="import:x")).added) == 3
    assert await import_tools(database, definitions, source="import:x") == SyncReport(unchanged=3)
    broken = [ToolDefinition(name="good"), ToolDefinition(name="bad", description="\0")]
    with pytest.raises(Exception, match="NUL"):
        await import_tools(database, broken, source="import:x")
    assert "good" not in await active_names(database)


async def test_document_counts_follow_the_tools(database: Database) -> None:
    await import_tools(database, [ToolDefinition(name="a", description="zebra zebra")], source="import:x")
    await import_tools(database, [ToolDefinition(name="b", description="zebra")], source="import:x")
    await import_tools(database, [ToolDefinition(name="a", description="giraffe")], source="import:x")
    rows = await database.fetch("select lexeme, tools from lexemes where lexeme in ('zebra', 'giraff') order by 1")
    assert [tuple(row) for row in rows] == [("giraff", 1), ("zebra", 1)]


async def test_a_model_that_changes_its_dimension_needs_another_name(
    database: Database, embed: tuple[Model, CountingEmbedder]
) -> None:
    other = CountingEmbedder()
    other.dimensions = 4
    with pytest.raises(Exception, match="3"):
        await register_model(database, other)


def test_a_plan_is_empty_when_all_is_as_it_should_be() -> None:
    tool = offer("a")
    row = IndexedTool(1, "a", "plugin:demo", "1.0", tool.definition.fingerprint(), True)
    assert make_plan([tool], [row], Elsewhere()).is_empty


KILLED = """
import asyncio, os, signal, sys
sys.path[:0] = {path!r}
from tests.tools.test_sync import CountingEmbedder, offer
from toolbox.database import open_database
from toolbox.index.embeddings import register_model
from toolbox.tools.sync import sync_plugins

class Dying(CountingEmbedder):
    async def embed(self, texts, purpose):
        if len(self.texts) >= 128:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().embed(texts, purpose)

async def main():
    async with open_database({url!r}, pool_size=2, max_overflow=4, timeout_seconds=10) as database:
        embedder = Dying()
        model = await register_model(database, embedder)
        await sync_plugins(database, [offer(f"tool_{{n:03}}") for n in range(300)], replica_id=None,
                           embed=(model, embedder))

asyncio.run(main())
"""


async def test_a_kill_during_sync_loses_nothing_and_repeats_nothing(
    database: Database, database_url: str, embed: tuple[Model, CountingEmbedder]
) -> None:
    code = KILLED.format(path=[str(folder) for folder in sys.path if folder] + ["."], url=database_url)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=subprocess.PIPE)
    _, stderr = await killed.communicate()
    assert killed.returncode == -signal.SIGKILL, stderr.decode()
    assert (await database.fetch("select count(*) as n from embeddings"))[0]["n"] == 128
    report = await sync_plugins(
        database, [offer(f"tool_{number:03}") for number in range(300)], replica_id=None, embed=embed
    )
    assert report == SyncReport(unchanged=300, embedded=172)
    assert len(await active_names(database)) == 300


async def test_progress_is_reported_batch_by_batch(database: Database, embed: tuple[Model, CountingEmbedder]) -> None:
    await import_tools(
        database, [ToolDefinition(name=f"tool_{number}") for number in range(BATCH + 1)], source="import:x"
    )
    heard = []

    async def report(done: int, total: int) -> None:
        heard.append((done, total))

    assert await embed_missing(database, *embed, report=report) == BATCH + 1
    assert heard == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]


def test_a_filter_knows_every_kind_of_source() -> None:
    used = {PLUGIN_SOURCE, IMPORT_SOURCE, OPENAPI_SOURCE, tool.SOURCE, merging.MERGED_SOURCE}
    assert set(KINDS_OF_SOURCES) == used
