"""What is secret in configurations of upstreams: sealed where it is stored, and never given back."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.conftest import BASE_URL, wait_until_ready
from tests.upstreams.conftest import HOSTILE, wait_for_tools
from toolbox.app import create_app
from toolbox.backup.archive import Reader
from toolbox.backup.dump import write_backup
from toolbox.backup.restore import restore_backup
from toolbox.database import Database, open_database
from toolbox.definitions import ClientCredentials, Upstream
from toolbox.errors import InvalidRequest
from toolbox.plugins import Plugins
from toolbox.secrets.store import SecretStore
from toolbox.secrets.vault import Vault
from toolbox.settings import Secret, Settings
from toolbox.upstreams.masking import mask, unmask
from toolbox.upstreams.repository import UpstreamRepository, delete_upstream

KEY = "a key of many characters, 32 at least"
NEW_KEY = "another key of many characters, for later"
PLANTED = "hunter2-swordfish"
UPSTREAM = Upstream(name="pets", command="python3", args=(HOSTILE,), env={"TOKEN": PLANTED, "REF": "${secret:own}"})
REMOTE = Upstream(
    name="remote",
    transport="http",
    url=f"https://ada:{PLANTED}@a.example/mcp",
    headers={"Authorization": f"Bearer {PLANTED}"},
    auth=ClientCredentials(client_id="me", client_secret=PLANTED),
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=2, timeout_seconds=10) as opened:
        yield opened


def open_with(database: Database, *keys: str) -> UpstreamRepository:
    return UpstreamRepository(database, Vault([key.encode() for key in keys]) if keys else None)


async def write(repository: UpstreamRepository, database: Database, upstream: Upstream) -> None:
    async with database.transaction() as connection:
        await repository.write(connection, upstream, "api")


async def find_planted(url: str) -> list[str]:
    """The tables that hold it."""
    connection = await asyncpg.connect(url)
    names = [row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")]
    found = [
        name
        for name in names
        for row in await connection.fetch(f'select t::text from "{name}" t')
        if PLANTED in row[0] or PLANTED.encode().hex() in row[0]
    ]
    await connection.close()
    return found


async def test_what_is_secret_is_stored_sealed_and_comes_back_whole(database: Database, database_url: str) -> None:
    repository = open_with(database, KEY)
    for upstream in (UPSTREAM, REMOTE):
        await write(repository, database, upstream)
        stored = await repository.read(upstream.name)
        assert stored is not None
        assert (stored.upstream, stored.is_clear, stored.unreadable) == (upstream, False, None)
    assert await find_planted(database_url) == []
    shown = [mask(stored.upstream) for stored in (await repository.read_all()).values()]
    assert PLANTED not in json.dumps(shown)
    assert "${secret:own}" in json.dumps(shown)

    # A digest of it does not tell it either: without the key it is another one.
    assert repository.fingerprint(UPSTREAM) != open_with(database).fingerprint(UPSTREAM)

    # What has nothing secret in it needs no key; what is deleted leaves nothing.
    await write(repository, database, structs.replace(UPSTREAM, env={"REF": "${secret:own}"}))
    async with database.transaction() as connection:
        await delete_upstream(connection, "remote")
    assert await database.fetch("select name from secrets") == []
    stored = await open_with(database).read("pets")
    assert stored is not None
    assert stored.unreadable is None


async def test_what_was_stored_in_clear_is_sealed_when_there_is_a_key(database: Database, database_url: str) -> None:
    await write(open_with(database), database, UPSTREAM)
    assert await find_planted(database_url) == ["upstreams"]
    repository = open_with(database, KEY)
    before = await repository.read("pets")
    await repository.seal(["pets", "gone"])
    after = await repository.read("pets")
    assert before is not None
    assert before.is_clear
    assert after == structs.replace(before, is_clear=False)
    assert await find_planted(database_url) == []


async def test_the_key_is_changed_as_for_other_secrets_and_a_lost_one_is_said(database: Database) -> None:
    await write(open_with(database, KEY), database, UPSTREAM)
    store = SecretStore(database, Vault([NEW_KEY.encode(), KEY.encode()]))
    assert [(one.name, one.needs_rotation) for one in await store.list_secrets()] == [("upstream:pets", True)]
    with pytest.raises(InvalidRequest, match="is none for a secret"):
        await store.delete_secret("upstream:pets")
    assert await store.rotate() == 1
    stored = await open_with(database, NEW_KEY).read("pets")
    assert stored is not None
    assert stored.upstream == UPSTREAM
    for repository, why in (
        (open_with(database), "SECRET_KEY is not set"),
        (open_with(database, KEY), "does not hold"),
    ):
        stored = await repository.read("pets")
        assert stored is not None
        assert why in str(stored.problem)
        assert stored.upstream.env == {"TOKEN": "***", "REF": "${secret:own}"}


async def test_a_backup_holds_it_sealed_and_brings_it_back(
    database: Database, database_url: str, empty_database_url: str
) -> None:
    await write(open_with(database, KEY), database, UPSTREAM)
    file = io.BytesIO()
    await write_backup(database_url, file, with_history=True, secret_keys=[KEY.encode()])
    await restore_backup(empty_database_url, Reader(io.BytesIO(file.getvalue())), replace=False)
    assert await find_planted(empty_database_url) == []
    async with open_database(empty_database_url, pool_size=1, max_overflow=1, timeout_seconds=10) as restored:
        stored = await open_with(restored, KEY).read("pets")
    assert stored is not None
    assert stored.upstream == UPSTREAM


def test_what_was_hidden_comes_back_where_it_was_and_goes_nowhere_else() -> None:
    given = structs.replace(
        REMOTE, url=mask(REMOTE)["url"], headers={"Authorization": "***"}, title="a title", call_seconds=5
    )
    given = structs.replace(given, auth=ClientCredentials(client_id="you", client_secret="***"))
    assert unmask(given, REMOTE) == structs.replace(
        REMOTE, title="a title", call_seconds=5, auth=ClientCredentials(client_id="you", client_secret=PLANTED)
    )
    private = Upstream(name="git", source="git+https://example.org/a@v1", source_key=PLANTED, env={"TOKEN": PLANTED})
    newer = structs.replace(private, source="git+https://example.org/a@v2", env={"TOKEN": "***"})
    assert unmask(newer, private) == structs.replace(private, source=newer.source)
    with pytest.raises(InvalidRequest, match="those before were for git"):
        unmask(structs.replace(newer, source_key="***"), private)
    for elsewhere in (
        structs.replace(given, url="https://evil.example/mcp"),
        structs.replace(given, url="http://a.example/mcp"),
        structs.replace(given, auth=structs.replace(REMOTE.auth, client_secret="***", issuer="https://evil.example")),
    ):
        with pytest.raises(InvalidRequest, match="give the values of headers/Authorization, auth/client_secret anew"):
            unmask(elsewhere, REMOTE)


async def test_operators_see_no_value_and_a_lost_key_harms_no_other_upstream(
    settings: Settings, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sealed, lost = (structs.replace(settings, secret_key=Secret(key)) for key in (KEY, NEW_KEY))
    said = []

    async def call(client: AsyncTestClient[Any], name: str) -> Any:
        body = {"tool_name": f"{name}__environment", "arguments": {}}
        return (await client.post("/mcp/call_tool", json=body)).json()

    async with AsyncTestClient(create_app(sealed, Plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        config = {"name": "pets", "command": "python3", "args": [HOSTILE], "env": {"TOKEN": PLANTED}}
        said.append((await client.post("/admin/upstreams", json=config)).text)
        await client.post("/admin/upstreams", json={"name": "plain", "command": "python3", "args": [HOSTILE]})
        for name in ("pets", "plain"):
            await wait_for_tools(client, name)
        assert json.loads((await call(client, "pets"))["result"][0]["text"])["TOKEN"] == PLANTED
        shown = (await client.get("/admin/upstreams/pets")).json()
        again = await client.put("/admin/upstreams/pets", json=shown["config"] | {"title": "Pets"})
        said += [again.text, (await client.get("/admin/export")).text, (await client.get("/admin/audit")).text]
        assert json.loads((await call(client, "pets"))["result"][0]["text"])["TOKEN"] == PLANTED
    assert PLANTED not in "".join([*said, *capfd.readouterr()])
    connection = await asyncpg.connect(database_url)
    await connection.execute("delete from calls")  # the answers of the tool itself
    await connection.close()
    assert await find_planted(database_url) == []

    async with AsyncTestClient(create_app(lost, Plugins()), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        assert "with a key that SECRET_KEY does not hold" in (await call(client, "pets"))["error"]["message"]
        assert (await call(client, "plain"))["success"]
        assert "failing: pets" in (await client.get("/health/detailed")).json()["checks"]["upstreams"]["detail"]
        refused = await client.post("/admin/upstreams/pets/disable")
        assert (refused.status_code, "configure it anew with all of its values" in refused.json()["detail"]) == (
            400,
            True,
        )
        config["env"] = {"TOKEN": "new"}
        assert (await client.put("/admin/upstreams/pets", json=config)).status_code == 200
        assert json.loads((await call(client, "pets"))["result"][0]["text"])["TOKEN"] == "new"
