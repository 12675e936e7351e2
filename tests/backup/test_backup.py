"""Backups: one moment of a database that is in use, brought back row by row, or not at all."""

import asyncio
import contextlib
import gzip
import io
import tarfile
from typing import Any

import asyncpg
import msgspec
import pytest
from msgspec import structs

from tests.conftest import execute
from toolbox.auth.callers import LOCAL
from toolbox.backup.archive import Reader
from toolbox.backup.dump import write_backup
from toolbox.backup.restore import restore_backup
from toolbox.backup.tables import HISTORY, LEFT_OUT, SEEDED, read_tables
from toolbox.database import migrate, newest_revision, open_database
from toolbox.errors import InvalidBackup, InvalidRequest
from toolbox.search.schemas import FindRequest
from toolbox.secrets.store import SecretStore
from toolbox.secrets.vault import Vault
from toolbox.services import Services, open_services
from toolbox.settings import Secret, Settings

QUERIES = ("turn a table into JSON", "what time is it in Tokyo", "reverse a text", "convert miles")
TOOL = """
    insert into tools (name, name_key, name_lexemes, description, tags, examples, version, input_schema, annotations,
        metadata, source, source_version, fingerprint, embedding_text)
    values ('old', 'old', '{}', 'An old tool', '{}', '[]', '1', '{}', '{}', '{}', 'import:old', '', 'x', 'old')
"""


async def back_up(url: str, **options: Any) -> bytes:
    file = io.BytesIO()
    await write_backup(url, file, **{"with_history": True, "secret_keys": []} | options)
    return file.getvalue()


async def restore(url: str, content: bytes, *, replace: bool = False) -> None:
    await restore_backup(url, Reader(io.BytesIO(content)), replace=replace)


async def read_rows(url: str) -> dict[str, list[str]]:
    """All that is in the database, as text."""
    async with contextlib.aclosing(Rows(await asyncpg.connect(url))) as rows:
        names = [table.name for table in await read_tables(rows.connection)]
        return {name: await rows.read(name) for name in names}


class Rows:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.aclose = connection.close

    async def read(self, name: str) -> list[str]:
        found = await self.connection.fetch(f'select t::text as row from "{name}" t order by 1')
        return [row["row"] for row in found]


async def find(services: Services) -> list[Any]:
    wanted = [FindRequest(query=query, limit=10).to_query(services.settings, LOCAL) for query in QUERIES]
    found = [await services.search.find_tools(query) for query in wanted]
    return [[(match.tool.name, match.similarity) for match in result.matches] for result in found]


@pytest.fixture
async def used(settings: Settings, database_url: str) -> str:
    """A database that something has happened to: plugins' tools, a toolset, searches and calls."""
    async with open_services(settings) as services:
        await services.sync()
        await find(services)
    await execute(
        database_url,
        "insert into toolsets (name, description, version, is_direct, asks_before_destructive, rules) "
        "values ('all', '', '1', false, false, '[]')",
        "insert into calls (id, tool_name, tool_version, caller, channel, arguments, success, started_at, duration_ms) "
        "values (gen_random_uuid(), 'text_reverse', '1', 'a', 'rest', '{\"text\": \"a\"}', true, now(), 1.5)",
    )
    return database_url


async def test_nothing_but_what_is_named_is_in_a_new_database(database_url: str) -> None:
    rows = await read_rows(database_url)
    assert {name for name in rows if rows[name]} <= SEEDED


async def test_every_table_is_backed_up_or_named_as_left_out(database_url: str) -> None:
    manifest = Reader(io.BytesIO(await back_up(database_url))).manifest
    connection = await asyncpg.connect(database_url)
    there = {table.name for table in await read_tables(connection)}
    await connection.close()
    assert {table.name for table in manifest.tables} == there - LEFT_OUT.keys()
    assert there >= LEFT_OUT.keys() | HISTORY, "a table is named that is not there any more"
    assert "tools" in there - LEFT_OUT.keys()


async def test_what_comes_back_is_the_same_row_by_row_and_searches_the_same(
    used: str, empty_database_url: str, settings: Settings
) -> None:
    content = await back_up(used)
    await restore(empty_database_url, content)
    before, after = await read_rows(used), await read_rows(empty_database_url)
    for name in before.keys() - LEFT_OUT.keys():
        assert after[name] == before[name], name
    assert len(after["embeddings"]) > 40
    assert len(after["calls"]) == 1
    again = structs.replace(settings, database_url=Secret(empty_database_url))
    async with open_services(settings) as original, open_services(again) as restored:
        await restored.sync()
        report = restored.sync_report
        assert report is not None
        assert (report.added, report.updated, report.embedded) == ((), (), 0)
        assert await find(restored) == await find(original)
    # New rows are numbered after those that came back, and triggers work again.
    await execute(empty_database_url, TOOL, "insert into models (name, dimensions) values ('another', 3)")
    indexes = "select indexname from pg_indexes where indexname like 'ix_embeddings_model_%'"
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval(f"select count(*) from ({indexes}) i") == 1
    await connection.close()


async def test_history_can_be_left_out(used: str, empty_database_url: str) -> None:
    await restore(empty_database_url, await back_up(used, with_history=False))
    after = await read_rows(empty_database_url)
    assert [after[name] for name in sorted(HISTORY)] == [[], [], []]
    assert after["tools"] == (await read_rows(used))["tools"]


async def test_a_backup_is_of_one_moment_while_others_write(database_url: str) -> None:
    """Each writer adds a row to two tables at once: in whatever moment, both have as many."""
    written = asyncio.Event()
    ended = False

    async def write(writer: int) -> None:
        connection = await asyncpg.connect(database_url)
        number = 0
        while not ended:
            number += 1
            async with connection.transaction():
                name = f"{writer}.{number}"
                await connection.execute("insert into models (name, dimensions) values ($1, 3)", name)
                await connection.execute("insert into shared_secrets values ($1, $2)", name, b"x" * 1000)
            written.set()
        await connection.close()

    writers = [asyncio.create_task(write(number)) for number in range(3)]
    await written.wait()
    ends = [await write_backup(database_url, io.BytesIO(), with_history=True, secret_keys=[]) for _ in range(5)]
    ended = True
    await asyncio.gather(*writers)
    counts = [(end.tables["models"].rows, end.tables["shared_secrets"].rows) for end in ends]
    assert all(models == secrets > 0 for models, secrets in counts), counts
    assert len(set(counts)) > 1, "nobody has written meanwhile"


async def test_a_backup_is_restored_into_an_older_schema(used: str, empty_database_url: str) -> None:
    await migrate(empty_database_url, target="0006")
    await restore(empty_database_url, await back_up(used))
    assert (await read_rows(empty_database_url))["tools"] == (await read_rows(used))["tools"]


async def test_a_backup_of_an_older_schema_is_brought_to_this_one(used: str, empty_database_url: str) -> None:
    await migrate(empty_database_url, target="0008")
    await execute(empty_database_url, TOOL)
    content = await back_up(empty_database_url)
    with pytest.raises(InvalidRequest, match=r"holds something already \(in \w+\): --replace"):
        await restore(used, content)
    await restore(used, content, replace=True)
    after = await read_rows(used)
    assert len(after["tools"]) == 1
    assert after["embeddings"] == after["toolsets"] == after["calls"] == []
    assert Reader(io.BytesIO(await back_up(used))).manifest.revision == newest_revision()


def rewrite(content: bytes, **changed: Any) -> bytes:
    """The same backup with another manifest."""
    file = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as old, tarfile.open(fileobj=file, mode="w:gz") as new:
        for member in old:
            read = old.extractfile(member)
            assert read is not None
            data = read.read()
            if member.name == "manifest.json":
                data = msgspec.json.encode(msgspec.json.decode(data) | changed)
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return file.getvalue()


def without_end(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as old, tarfile.open(fileobj=file, mode="w:gz") as new:
        for member in old:
            if member.name != "end.json":
                new.addfile(member, old.extractfile(member))
    return file.getvalue()


def damaged(content: bytes, place: float) -> bytes:
    """One bit of what was written is another one, in a file that is well compressed."""
    plain = bytearray(gzip.decompress(content))
    rows = [number for number in range(0, len(plain), 512) if plain[number : number + 7] == b"tables/"]
    rows = [number for number in rows if any(plain[number + 512 + 21 : number + 512 + 40])]  # some have none
    plain[rows[int(len(rows) * place)] + 512 + 25] ^= 1
    return gzip.compress(bytes(plain), 1)


async def test_a_wrong_or_damaged_file_leaves_the_database_as_it_was(used: str) -> None:
    content = await back_up(used)
    before = await read_rows(used)
    tables = msgspec.json.decode(gzip.decompress(content)[512:].split(b"\0")[0])["tables"]
    for wrong, said in (
        (b"", "no backup of ToolBox"),
        (b"SELECT 1;" * 1000, "no backup of ToolBox"),
        (gzip.compress(b"SELECT 1;" * 1000), "no backup of ToolBox"),
        (content[: len(content) // 2], "damaged"),
        (content[:-1], "damaged"),
        (content[: len(content) // 2] + bytes(8) + content[len(content) // 2 + 8 :], None),
        (without_end(content), "its end is missing"),
        (damaged(content, 0.1), None),
        (damaged(content, 0.9), None),
        (rewrite(content, format=2), "has format 2, and this ToolBox reads 1"),
        (rewrite(content, revision="9999"), "was made by ToolBox .* with schema 9999"),
        (rewrite(content, tables=tables[1:]), "holds rows of"),
        (rewrite(content, tables=[{"name": 'x" or "y', "columns": []}]), "is not as schema"),
    ):
        with pytest.raises(InvalidBackup, match=said):
            await restore(used, wrong, replace=True)
        assert await read_rows(used) == before
    await restore(used, content, replace=True)  # and the whole one comes back over what is there
    after = await read_rows(used)
    assert {name: rows for name, rows in after.items() if name not in LEFT_OUT} == {
        name: rows for name, rows in before.items() if name not in LEFT_OUT
    }


async def test_secrets_stay_sealed(database_url: str, empty_database_url: str) -> None:
    key = b"a key of sixteen or more"
    async with open_database(database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        await SecretStore(database, Vault([key])).set_secret("token", "hunter2 in clear")
    content = await back_up(database_url, secret_keys=[key])
    assert not [clear for clear in (b"hunter2", key) if clear in gzip.decompress(content)]
    await restore(empty_database_url, content)
    async with open_database(empty_database_url, pool_size=1, max_overflow=0, timeout_seconds=5) as database:
        assert await SecretStore(database, Vault([key])).get("token") == "hunter2 in clear"


async def test_a_database_that_a_server_uses_is_not_restored(used: str, settings: Settings) -> None:
    content = await back_up(used)
    async with open_services(settings):
        with pytest.raises(InvalidRequest, match="ToolBox is running on this database"):
            await restore(used, content, replace=True)


async def test_there_is_nothing_to_back_up_where_toolbox_never_was(empty_database_url: str) -> None:
    with pytest.raises(InvalidRequest, match="nothing to back up"):
        await back_up(empty_database_url)
