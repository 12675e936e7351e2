"""Secrets: kept sealed, put in place late, never given back."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st
from litestar.testing import AsyncTestClient
from msgspec import structs

from tests.conftest import BASE_URL, wait_until_ready
from toolbox.app import create_app
from toolbox.audit import AuditFilter, read_audit
from toolbox.cli.main import toolbox
from toolbox.database import Database, open_database
from toolbox.embedded.secret_key import ensure_secret_key
from toolbox.errors import InvalidRequest, NotFound, SecretUnavailable, SettingsError
from toolbox.secrets.store import SecretStore, find_references
from toolbox.secrets.vault import Vault
from toolbox.settings import Secret, Settings, read_settings

KEY = b"a key of many characters"
NEW_KEY = b"another key, for rotation"
VALUE = "s3cr3t-value"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, pool_size=2, max_overflow=2, timeout_seconds=10) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> SecretStore:
    return SecretStore(database, Vault([KEY]))


async def test_a_reference_is_resolved_to_the_value(store: SecretStore) -> None:
    assert await store.set_secret("api.key-1", VALUE)
    assert await store.resolve("Bearer ${secret:api.key-1}!") == f"Bearer {VALUE}!"
    assert not await store.set_secret("api.key-1", "another")
    assert await store.resolve("${secret:api.key-1}${secret:api.key-1}") == "anotheranother"


async def test_a_value_that_looks_like_a_reference_is_no_reference(store: SecretStore) -> None:
    await store.set_secret("one", "${secret:two}")
    await store.set_secret("two", VALUE)
    assert await store.resolve("${secret:one}") == "${secret:two}"


async def test_what_is_on_disk_says_nothing(store: SecretStore, database: Database) -> None:
    await store.set_secret("one", VALUE)
    rows = await database.fetch("select s::text as row from secrets s union all select a::text from audit a")
    assert len(rows) == 2
    for row in rows:
        assert VALUE not in row["row"]
        assert VALUE.encode().hex() not in row["row"]


async def test_a_row_that_was_copied_to_another_name_does_not_open(store: SecretStore, database: Database) -> None:
    await store.set_secret("one", VALUE)
    await database.execute("insert into secrets (name, sealed) select 'two', sealed from secrets")
    with pytest.raises(SecretUnavailable, match="'two' cannot be opened"):
        await store.get("two")


async def test_a_key_is_changed_without_a_gap(store: SecretStore, database: Database) -> None:
    await store.set_secret("one", VALUE)
    both = SecretStore(database, Vault([NEW_KEY, KEY]))
    assert await both.get("one") == VALUE
    assert [secret.needs_rotation for secret in await both.list_secrets()] == [True]
    assert await both.rotate() == 1
    assert await both.rotate() == 0
    assert await SecretStore(database, Vault([NEW_KEY])).get("one") == VALUE
    with pytest.raises(SecretUnavailable, match="SECRET_KEY"):
        await SecretStore(database, Vault([KEY])).get("one")


async def test_one_that_cannot_be_opened_stops_the_whole_rotation(store: SecretStore, database: Database) -> None:
    await store.set_secret("one", VALUE)
    await SecretStore(database, Vault([b"a key that is lost by now"])).set_secret("two", VALUE)
    with pytest.raises(SecretUnavailable):
        await SecretStore(database, Vault([NEW_KEY, KEY])).rotate()
    assert await store.get("one") == VALUE


async def test_without_a_key_there_are_no_secrets(database: Database) -> None:
    with pytest.raises(SecretUnavailable, match="need SECRET_KEY"):
        await SecretStore(database, None).set_secret("one", VALUE)
    assert await SecretStore(database, None).list_secrets() == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "${secret:a}", "a" * 65, "ä", "a\n"])
async def test_a_name_that_no_reference_could_have_is_refused(store: SecretStore, name: str) -> None:
    with pytest.raises(InvalidRequest, match="name"):
        await store.set_secret(name, VALUE)


@pytest.mark.parametrize("value", ["", "a\0b", "x" * 70_000])
async def test_a_value_that_cannot_be_used_is_refused_without_being_shown(store: SecretStore, value: str) -> None:
    with pytest.raises(InvalidRequest, match="value: it must have"):
        await store.set_secret("one", value)


async def test_every_change_is_in_the_audit_log_without_the_value(store: SecretStore, database: Database) -> None:
    await store.set_secret("one", VALUE, caller="me")
    await store.set_secret("one", VALUE, caller="me")
    await store.delete_secret("one", caller="me")
    found = await read_audit(database, AuditFilter(subject_kind="secret"), limit=10)
    assert [(entry.caller, entry.action, entry.subject) for entry in reversed(found)] == [
        ("me", "secret.created", "one"),
        ("me", "secret.set", "one"),
        ("me", "secret.deleted", "one"),
    ]
    with pytest.raises(NotFound):
        await store.delete_secret("one")
    with pytest.raises(SecretUnavailable, match="toolbox secrets set one"):
        await store.resolve("${secret:one}")


async def test_what_says_a_secret_back_is_hidden_again(store: SecretStore) -> None:
    await store.set_secret("one", VALUE)
    await store.set_secret("pin", "12")
    assert await store.hide(f"you sent {VALUE} and 12", ["one", "pin"]) == "you sent ${secret:one} and 12"


def test_references_are_found_wherever_they_are() -> None:
    value = {"a": ["${secret:one}", {"b": "x ${secret:two} ${secret:one}"}], "c": 1, "d": "${secret:}"}
    assert find_references(value) == ["one", "two"]


@given(st.text(min_size=1), st.binary(min_size=1, max_size=8), st.integers(min_value=0))
def test_a_changed_row_does_not_open(value: str, change: bytes, at: int) -> None:
    assume(value < "\ud800" or value.isascii())
    vault = Vault([KEY])
    sealed = vault.seal("one", value)
    assert vault.open("one", sealed) == value
    at %= len(sealed)
    changed = sealed[:at] + change + sealed[at + len(change) :]
    assume(changed != sealed)
    with pytest.raises(SecretUnavailable):
        vault.open("one", changed)


def test_keys_in_the_environment_are_long_enough() -> None:
    assert read_settings({"SECRET_KEY": f"{NEW_KEY.decode().replace(',', '')}, {KEY.decode()}"}).secret_keys == [
        NEW_KEY.replace(b",", b""),
        KEY,
    ]
    for weak in ("short", f"{KEY.decode()},short", ","):
        with pytest.raises(SettingsError, match="16 characters"):
            read_settings({"SECRET_KEY": weak})


def test_the_embedded_key_is_made_once_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    path = ensure_secret_key(tmp_path)
    key = path.read_text()
    assert len(key) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_secret_key(tmp_path).read_text() == key
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]


async def test_over_rest_only_names_come_back(database_url: str) -> None:
    settings = Settings(database_url=Secret(database_url), secret_key=Secret(KEY.decode()))
    async with AsyncTestClient(create_app(settings), base_url=BASE_URL) as client:
        await wait_until_ready(client)
        answers = [
            await client.put("/admin/secrets/one", json={"value": VALUE}),
            await client.put("/admin/secrets/one", json={"value": VALUE, "more": VALUE}),
            await client.put("/admin/secrets/one", json={"value": 5}),
            await client.put("/admin/secrets/a b", json={"value": VALUE}),
            await client.get("/admin/secrets"),
            await client.post("/admin/secrets/rotate"),
            await client.delete("/admin/secrets/one"),
            await client.delete("/admin/secrets/one"),
        ]
    assert [answer.status_code for answer in answers] == [204, 400, 400, 400, 200, 200, 204, 404]
    assert [secret["name"] for secret in answers[4].json()] == ["one"]
    assert all(VALUE not in answer.text for answer in answers)


async def test_a_change_by_another_process_is_heard(settings: Settings, database: Database) -> None:
    from toolbox.services import open_services, working

    settings = structs.replace(settings, secret_key=Secret(KEY.decode()))
    other = SecretStore(database, Vault([KEY]))
    await other.set_secret("one", VALUE)
    async with open_services(settings) as services, working(services):
        assert await services.secrets.get("one") == VALUE
        await other.set_secret("one", "changed")
        while await services.secrets.get("one") != "changed":
            await asyncio.sleep(0.01)


def run(database_url: str, *arguments: str, given: str | None = None) -> Any:
    environment = {"DATABASE_URL": database_url, "SECRET_KEY": KEY.decode(), "PATH": os.environ["PATH"]}
    return CliRunner().invoke(toolbox, arguments, input=given, env=environment)


async def test_the_command_reads_values_from_standard_input(database_url: str, store: SecretStore) -> None:
    done = await asyncio.to_thread(run, database_url, "secrets", "set", "one", given=f"{VALUE}\n")
    assert done.exit_code == 0, done.output
    assert await store.get("one") == VALUE
    listed = await asyncio.to_thread(run, database_url, "secrets", "list", "--json")
    assert [secret["name"] for secret in json.loads(listed.stdout)] == ["one"]
    assert (await asyncio.to_thread(run, database_url, "secrets", "rotate")).output == "0 secrets sealed anew\n"
    assert (await asyncio.to_thread(run, database_url, "secrets", "delete", "one")).output == "one: deleted\n"
    nowhere = await asyncio.to_thread(run, database_url, "secrets", "set", "nowhere/one", given=VALUE)
    assert "there is no toolset 'nowhere'" in str(getattr(nowhere.exception, "message", None))
    assert (await asyncio.to_thread(run, database_url, "secrets", "set", "one", VALUE)).exit_code == 2
