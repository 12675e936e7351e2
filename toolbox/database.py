"""PostgreSQL: an asyncpg pool for the hot paths, an SQLAlchemy engine for administration, and the migrations.

Both drivers open their connections here, from one URL, so TLS options work alike for both.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import msgspec
from msgspec import Struct
from pgvector.asyncpg import register_vector

from toolbox.errors import DatabaseUnavailable, InvalidRequest
from toolbox.telemetry import describe_statement, is_in_trace, is_tracing, record_past

if TYPE_CHECKING:  # SQLAlchemy takes half a second to load, and only administration and migrations need it
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

SERVER_SETTINGS = {
    # A pool takes back what SET did when a connection is released, so session options are given at connect time.
    "application_name": "toolbox",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "hnsw.ef_search": "400",
    "hnsw.max_scan_tuples": "5000",
    "hnsw.iterative_scan": "relaxed_order",
}

SYNC_LOCK = 7_205_001
MIGRATION_LOCK = 7_205_002
EMBEDDING_LOCKS = 7_206_000
"""With the number of a model; beside it stands that of a batch of tools."""
"""Advisory lock keys. All locks are taken for a transaction, so they work behind a transaction pooler."""

ANSWER_SECONDS = 15.0
"""How long one statement may take for which somebody waits; a connection that has fallen silent is given up then."""
STATEMENT_SECONDS = 30.0
"""The same in a transaction, which may have a lot to write."""
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
"""Seconds of silence, seconds between questions, questions without an answer, milliseconds without a confirmation."""
RELEASE_SECONDS = 2.0
"""How long PostgreSQL may take to confirm that it has stopped a statement, before its connection is thrown away."""

Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy


class PoolUse(Struct, frozen=True):
    """Connections of a pool: those in use, those that are open and idle, and how many there may be in all."""

    used: int
    idle: int
    maximum: int


class Database:
    """An open pool; every failure to reach PostgreSQL comes out as DatabaseUnavailable."""

    def __init__(self, pool: asyncpg.Pool, url: str, timeout_seconds: float) -> None:
        self._pool = pool
        self._url = url
        self._timeout_seconds = timeout_seconds

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection.

        Raises:
            DatabaseUnavailable: None became free in time, or PostgreSQL does not answer.
        """
        with _translated_errors():
            connection = await self._acquire()
        try:
            with _translated_errors():
                yield connection
        finally:
            with contextlib.suppress(*UNREACHABLE):  # then it is closed, and the pool opens another one
                await self._pool.release(connection, timeout=RELEASE_SECONDS)

    async def _acquire(self) -> Connection:
        try:
            return await self._pool.acquire(timeout=self._timeout_seconds)
        except TimeoutError as error:
            use = self.pool_use
            if use.used < use.maximum:  # then it was to be opened, and PostgreSQL does not answer
                raise
            raise DatabaseUnavailable(
                f"no connection of the pool became free within {self._timeout_seconds:g} s: "
                f"all {use.maximum} are in use, and DB_MAX_OVERFLOW allows more"
            ) from error

    @property
    def pool_use(self) -> PoolUse:
        """How many connections there are now."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return PoolUse(size - idle, idle, self._pool.get_max_size())

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement and give back its rows: one round trip."""
        async with self.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments, timeout=ANSWER_SECONDS)
            return rows

    async def fetch_row(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        """Run one statement and give back its first row, if any."""
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run one statement for its effect; gives back the command tag."""
        async with self.connection() as connection:
            tag: str = await connection.execute(query, *arguments, timeout=ANSWER_SECONDS)
            return tag

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Run several statements as one: all of them count, or none."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @contextlib.asynccontextmanager
    async def lock(self, key: int) -> AsyncIterator[None]:
        """Hold an advisory lock over all replicas; other connections stay free to commit meanwhile."""
        async with self._held_transaction() as connection:
            await connection.execute("select pg_advisory_xact_lock($1)", key)
            yield

    @contextlib.asynccontextmanager
    async def share(self, key: int, part: int, *, wait: bool) -> AsyncIterator[bool]:
        """Hold the advisory lock of one part of some work; and say whether it is held: without `wait` it need not be.

        Other connections stay free to commit meanwhile.
        """
        async with self._held_transaction() as connection:
            if wait:
                await connection.execute("select pg_advisory_xact_lock($1, $2)", key, part)
            yield wait or await connection.fetchval("select pg_try_advisory_xact_lock($1, $2)", key, part)

    @contextlib.asynccontextmanager
    async def _held_transaction(self) -> AsyncIterator[Connection]:
        """A transaction on a connection of its own, as long as something is held: it would keep one of the pool."""
        connection = await _connect(self._url)
        try:
            with _translated_errors():
                async with connection.transaction():
                    yield connection
        finally:
            with contextlib.suppress(*UNREACHABLE):
                await connection.close(timeout=RELEASE_SECONDS)

    async def close(self) -> None:
        """Close all connections, waiting a little for those in use."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()


@contextlib.asynccontextmanager
async def open_database(
    url: str, *, pool_size: int, max_overflow: int, timeout_seconds: float
) -> AsyncIterator[Database]:
    """Open the pool of a migrated database.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, or refuses us.
    """
    with _translated_errors():
        pool = await asyncpg.create_pool(
            min_size=0,  # connections are opened by need: a floor would be restored in the background, loudly
            max_size=pool_size + max_overflow,
            connect=_connect_pooled,
            init=_prepare_connection,
            reset=_keep_session,
            command_timeout=STATEMENT_SECONDS,
            dsn=_driver_url(url),
            server_settings=SERVER_SETTINGS,
        )
    database = Database(pool, url, timeout_seconds)
    try:
        yield database
    finally:
        await database.close()


async def migrate(url: str, *, target: str = "head", downgrade: bool = False) -> str:
    """Bring the schema to a revision, under a lock that makes replicas wait for each other.

    Returns:
        The revision that the schema has now; empty if it has none.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, refuses us, or lacks pgvector.
    """
    if target == "head" and not downgrade:
        current = await _read_revision(url)
        if current == newest_revision():
            return current
        if current > newest_revision():
            raise DatabaseUnavailable(
                f"its schema is at {current}, newer than {newest_revision()}, the newest that this version knows: "
                "start the newer version of ToolBox, or have that one bring the schema back with `toolbox db downgrade`"
            )
    async with changing_schema(url) as schema:
        return await schema.bring_to(target, downgrade=downgrade)


class Schema:
    """The schema, in a transaction that changes it alone: see `changing_schema`."""

    def __init__(self, engine_connection: "AsyncConnection", connection: asyncpg.Connection) -> None:
        self._engine_connection = engine_connection
        self.connection = connection
        """The driver's connection, for anything else that belongs to the change."""

    async def revision(self) -> str:
        """Where it is; empty if there is none."""
        return await self._engine_connection.run_sync(_current_revision)

    async def bring_to(self, target: str, *, downgrade: bool = False) -> str:
        """Migrate to a revision, and give back the one that was reached.

        Raises:
            InvalidRequest: There is no way to it.
        """
        return await self._engine_connection.run_sync(_migrate, target, downgrade)


@contextlib.asynccontextmanager
async def changing_schema(url: str) -> AsyncIterator[Schema]:
    """Change the schema, and what is in it, in one transaction: all of it counts, or none.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, refuses us, or lacks pgvector.
    """
    async with _administration(url) as connection:
        # Replicas that start together wait here for each other; the lock ends with the transaction.
        await connection.exec_driver_sql(f"select pg_advisory_xact_lock({MIGRATION_LOCK})")
        driver = (await connection.get_raw_connection()).driver_connection
        yield Schema(connection, driver)


def _migrate(connection: Any, target: str, downgrade: bool) -> str:
    from alembic import command  # loaded where it is used: Alembic and SQLAlchemy take half a second
    from alembic.util import CommandError

    config = _alembic_config()
    config.attributes["connection"] = connection
    try:
        (command.downgrade if downgrade else command.upgrade)(config, target)
    except CommandError as error:
        raise InvalidRequest(f"the schema cannot be brought to {target!r}: {error}") from error
    return _current_revision(connection)


def newest_revision() -> str:
    """Where the migrations of this version lead.

    They are numbered in their file names, so it is known without loading Alembic.
    """
    return max(path.name.partition("_")[0] for path in (migrations_folder() / "versions").glob("[0-9]*.py"))


async def revisions(url: str) -> tuple[str, str]:
    """The schema's revision (empty if it has none) and the newest one."""
    async with _administration(url) as connection:
        current = await connection.run_sync(_current_revision)
    return current, newest_revision()


def create_engine(url: str) -> "AsyncEngine":
    """An SQLAlchemy engine whose connections are made by asyncpg from the same URL."""
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def connect() -> asyncpg.Connection:
        return await _connect(url)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


async def pooler_warning(url: str) -> str | None:
    """Say what will not work when a transaction pooler stands between us and PostgreSQL, else None.

    Two of our connections that are served by one backend, while neither is closed, can only come from such a pooler.
    """
    with _translated_errors():
        first, second = await _connect(url), await _connect(url)
        try:
            backends = [await connection.fetchval("select pg_backend_pid()") for connection in (first, second)]
        finally:
            await first.close()
            await second.close()
    if len(set(backends)) == len(backends):
        return None
    return (
        "DATABASE_URL leads to a transaction pooler: prepared statements fail unless it keeps them (PgBouncer 1.21 and "
        "later, max_prepared_statements), and session settings are lost, so searches in large catalogues find less and "
        "take longer; give ToolBox a direct connection or a session pool"
    )


def migrations_folder() -> Path:
    """Where the migrations lie: inside the installed package, or beside it in a checkout."""
    installed = Path(__file__).parent / "_migrations"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "migrations"


async def _read_revision(url: str) -> str:
    """The schema's revision, without Alembic; empty if it has none."""
    connection = await _connect(url)
    try:
        with _translated_errors():
            if await connection.fetchval("select to_regclass('alembic_version')") is None:
                return ""
            return await connection.fetchval("select version_num from alembic_version") or ""
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _administration(url: str) -> AsyncIterator["AsyncConnection"]:
    engine = create_engine(url)
    try:
        with _translated_errors():
            async with engine.begin() as connection:
                yield connection
    finally:
        await engine.dispose()


def _current_revision(connection: Any) -> str:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision() or ""


def _alembic_config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _driver_url(url: str) -> str:
    """The forms that other tools write, as asyncpg reads them."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql{separator}{rest}" if scheme in {"postgresql+asyncpg", "postgres"} else url


@contextlib.asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection outside of any pool, for work that keeps it for long."""
    connection = await _connect(url)
    try:
        with _translated_errors():
            yield connection
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    with _translated_errors():
        connection: asyncpg.Connection = await asyncpg.connect(_driver_url(url), timeout=10)
        _notice_loss(connection)
        return connection


async def _connect_pooled(*arguments: Any, **options: Any) -> asyncpg.Connection:
    connection: asyncpg.Connection = await asyncpg.connect(*arguments, **options, timeout=10)
    _notice_loss(connection)
    return connection


def _notice_loss(connection: asyncpg.Connection) -> None:
    """Let the system say when the other end is not there any more; its own patience is two hours."""
    found: socket.socket | None = connection._transport.get_extra_info("socket")  # noqa: SLF001 - there is no other way
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if option := getattr(socket, name, None):  # not every system has all of them
            found.setsockopt(socket.IPPROTO_TCP, option, value)


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    if is_tracing():
        connection.add_query_logger(_trace_statement)
    await register_vector(connection, schema=await _vector_schema(connection))
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.Raw, format="binary"
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )


def _trace_statement(ran: Any) -> None:
    """What the driver says of a statement (asyncpg.LoggedQuery); its values are left out."""
    if is_in_trace():
        name, attributes = describe_statement(ran.query)
        failure = type(ran.exception).__name__ if ran.exception else None
        record_past(name, ran.elapsed, attributes, kind="client", failure=failure)


async def _vector_schema(connection: asyncpg.Connection) -> str:
    schema = await connection.fetchval(
        "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'"
    )
    return schema or "public"


def _encode_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + msgspec.json.encode(value)  # the version byte of jsonb's binary form


def _decode_jsonb(value: bytes) -> msgspec.Raw:
    return msgspec.Raw(value[1:])


async def _keep_session(_connection: asyncpg.Connection) -> None:
    """Nothing of ours changes a session, so the reset that asyncpg would send is a round trip for nothing."""


UNREACHABLE: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    ssl.SSLError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # it accepts no connections now
    asyncpg.InsufficientPrivilegeError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.UndefinedFileError,
    asyncpg.ProtocolViolationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says of a connection that was cut off midway
    asyncpg.DiskFullError,
    asyncpg.ReadOnlySQLTransactionError,
)


@contextlib.contextmanager
def _translated_errors() -> Any:
    try:
        yield
    except UNREACHABLE as error:
        raise DatabaseUnavailable(f"PostgreSQL cannot be used: {_reason(error)}") from error
    except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
        raise InvalidRequest("a text holds a character that cannot be stored (NUL, U+0000)") from error
    except Exception as error:
        # SQLAlchemy wraps what its driver raised; its own types are not imported for this one look.
        cause = getattr(error, "orig", None)
        original: Any = getattr(cause, "__cause__", None) or cause
        if isinstance(original, UNREACHABLE):
            raise DatabaseUnavailable(f"PostgreSQL cannot be used: {_reason(original)}") from error
        raise


def _reason(error: BaseException) -> str:
    text = str(error) or ("it did not answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    if "vector" in text and isinstance(error, asyncpg.FeatureNotSupportedError | asyncpg.UndefinedFileError):
        return f"pgvector is not installed there ({text})"
    if isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in text:
        return f"the connection pooler refuses session settings ({text}); let it ignore them, or connect directly"
    return text
