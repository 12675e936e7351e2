"""Where a command works: on the catalogue of this machine, or on a server behind `--url`.

Both answer with the same plain JSON values, so commands do not care.
"""

import asyncio
import contextlib
import getpass
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from toolbox.auth.callers import LOCAL, Caller
from toolbox.auth.scopes import ALL
from toolbox.cli.imports import hidden, httpx
from toolbox.embedded.owner import attach_or_run, default_data_dir, find_owner
from toolbox.embedded.secret_key import ensure_secret_key
from toolbox.errors import FIND, InvalidRequest, NotFound, ToolboxError, ToolNotFound
from toolbox.plain_words import explain
from toolbox.settings import Secret, Settings, naming_database, read_settings

if TYPE_CHECKING:  # loaded where it is used: with --url no driver is needed
    from toolbox.database import Database

T = TypeVar("T")
Object: TypeAlias = dict[str, Any]

REMOTE_TIMEOUT_SECONDS = 60.0
CONNECT_SECONDS = 1.0


class Result(Struct, frozen=True):
    """A page of a result, how many items there are in all, and where the next page is, if there is one."""

    value: Any
    total: int
    next: str | None


class Backend(Protocol):
    """What commands need."""

    async def find(self, request: Object) -> list[Object]:
        """Matches, best first."""
        ...

    async def call(self, request: Object) -> Object:
        """What came of a call."""
        ...

    async def read_result(self, call_id: str, wanted: Object) -> "Result":
        """A page of the result of an earlier call."""
        ...

    async def list_tools(self, request: Object) -> tuple[list[Object], int]:
        """A page of tools, and how many there are."""
        ...

    async def get_tool(self, name: str) -> Object:
        """One tool."""
        ...


def run(url: str | None, command: str, work: Callable[[Backend], Awaitable[T]]) -> T:
    """Do some work on the server at `url`, or on this machine's own catalogue.

    Where a server of this machine runs, that one does it: it has everything open already, and the plugins that agents
    get to see.
    """

    async def remotely(remote_url: str, *, is_own: bool) -> T:
        async with _connect(remote_url, is_own=is_own) as client:
            return await work(Remote(client))

    async def locally(settings: Settings) -> T:
        async with open_local(settings) as backend:
            return await work(backend)

    if url:
        return asyncio.run(remotely(url, is_own=False))
    if (own_url := find_server_url()) and _is_listening(own_url):
        return asyncio.run(remotely(own_url, is_own=True))
    with local_settings(command) as settings:
        return asyncio.run(locally(settings))


def operate(url: str | None, command: str, work: "Callable[[Server], Awaitable[T]]") -> T:
    """Do an operator's work over REST: on the server at `url`, or in this process, on this machine's own database.

    What is done here is done as the user who runs the command, and heard of by every replica.
    """

    async def locally(settings: Settings) -> T:
        with hidden("advanced_alchemy"):  # as for `toolbox serve`
            from toolbox.routers import create_local_app  # slow to load, and not needed with --url

        async with open_local(settings) as local:
            app = create_local_app(local.services, Caller(local_caller(), ALL))
            transport = httpx.ASGITransport(cast("Any", app))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await work(Server(client))

    if url:
        return asyncio.run(ask_server(url, work))
    with local_settings(command) as settings:
        return asyncio.run(locally(settings))


async def ask_server(url: str, work: "Callable[[Server], Awaitable[T]]") -> T:
    """Do some work on the server at `url`, with the key in API_KEY if there is one."""
    async with _connect(url, is_own=False) as client:
        return await work(Server(client))


def _connect(url: str, *, is_own: bool) -> httpx.AsyncClient:
    # No proxy leads back to this machine, and the certificate that its server shows has the name that others use.
    key = read_settings(os.environ).api_key
    return httpx.AsyncClient(
        base_url=url,
        timeout=REMOTE_TIMEOUT_SECONDS,
        trust_env=not is_own,
        verify=not is_own,
        headers={"X-API-Key": key.reveal()} if key else {},
    )


@contextlib.contextmanager
def local_settings(command: str) -> Iterator[Settings]:
    """The settings with a DATABASE_URL: the given one, or that of the embedded PostgreSQL, running meanwhile."""
    from toolbox.logs import configure_logging  # slow to load, and not needed where a server does the work

    settings = read_settings(os.environ)
    configure_logging(settings)
    if settings.database_url is not None:
        with naming_database(settings):
            yield settings
        return
    data_dir = settings.data_dir or default_data_dir()
    with attach_or_run(data_dir, command=command) as url:
        secret_key = settings.secret_key or Secret(ensure_secret_key(data_dir).read_text())
        yield structs.replace(settings, database_url=Secret(url), secret_key=secret_key)


def list_plugins(url: str | None) -> list[Object]:
    """The plugins of the server at `url`, or of this installation, as they load: no database is asked, or changed."""
    from toolbox.logs import configure_logging
    from toolbox.plugins import load_plugins

    async def remotely(remote_url: str) -> list[Object]:
        async with _connect(remote_url, is_own=False) as client:
            return await Remote(client).list_plugins()

    if url:
        return asyncio.run(remotely(url))
    settings = read_settings(os.environ)
    configure_logging(settings)
    return _plain(load_plugins(settings).plugins, list[Object])


def local_caller() -> str:
    """Who changes something from the command line, as the audit log names them: the user who runs the command."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, as in containers
        return "cli"


def find_server_url() -> str | None:
    """Where `toolbox serve` of this machine listens, if one runs and these commands work on its data."""
    settings = read_settings(os.environ)
    owner = None if settings.database_url else find_owner(settings.data_dir or default_data_dir())
    return owner.server_url if owner else None


def _is_listening(url: str) -> bool:
    """Whether it answers already: a server that starts runs its PostgreSQL before it listens."""
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname, address.port or 80), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


@contextlib.asynccontextmanager
async def open_local(settings: Settings) -> AsyncIterator["Local"]:
    """This machine's catalogue, up to date with the plugins that are installed here."""
    from toolbox.services import open_services  # slow to load, and not needed with --url

    async with open_services(settings) as services:
        await services.sync()
        yield Local(services)


@contextlib.asynccontextmanager
async def open_local_database(settings: Settings) -> "AsyncIterator[Database]":
    """This machine's database alone, its schema up to date: for commands that ask nothing of plugins or models."""
    from toolbox.database import migrate, open_database

    url = settings.database_url.reveal() if settings.database_url else ""
    await migrate(url)
    async with open_database(url, pool_size=1, max_overflow=1, timeout_seconds=settings.db_pool_timeout) as database:
        yield database


class Local:
    """Works on the services in this process."""

    def __init__(self, services: Any) -> None:
        self.services = services

    async def find(self, request: Object) -> list[Object]:
        """See Backend."""
        from toolbox.search.schemas import FindRequest, to_match

        wanted = _convert(request, FindRequest)
        found = await self.services.search.find_tools(wanted.to_query(self.services.settings, LOCAL))
        if wanted.toolset is not None and not found.matches:
            await self.services.toolsets.get(wanted.toolset)
        return _plain([to_match(match, wanted.detail, self.services.registry) for match in found.matches], list[Object])

    async def call(self, request: Object) -> Object:
        """See Backend."""
        from toolbox.calls.schemas import CallToolRequest, to_response

        wanted = _convert(request, CallToolRequest)
        try:
            done = await self.services.calls.call_tool(wanted.to_call(LOCAL, "cli"))
        except ToolNotFound as error:
            raise _no_such_tool(error.name, error.suggestions) from error
        return _plain(to_response(done), Object)

    async def read_result(self, call_id: str, wanted: Object) -> "Result":
        """See Backend."""
        from toolbox.calls.handles import Handle

        try:
            handle = Handle(UUID(call_id), **wanted)
        except ValueError as error:
            raise _no_such_result(call_id) from error
        read = await self.services.calls.read_result(handle, LOCAL.owner)
        return Result(_plain(read.page.value, object), read.page.total, read.next.path if read.next else None)

    async def list_tools(self, request: Object) -> tuple[list[Object], int]:
        """See Backend."""
        from toolbox.tools.schemas import ListRequest, to_summary

        wanted = _convert(request, ListRequest)
        page = await self.services.tools.list_tools(wanted.to_filter(LOCAL), limit=wanted.limit, offset=wanted.offset)
        return _plain([to_summary(tool) for tool in page.tools], list[Object]), page.total

    async def get_tool(self, name: str) -> Object:
        """See Backend."""
        from toolbox.tools.schemas import to_detail

        tool = await self.services.tools.get_tool(name)
        if tool is None:
            raise _no_such_tool(name, await self.services.tools.near_names(name))
        return _plain(to_detail(tool), Object)


class Server:
    """Asks a server over REST."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """What the server answers, None if that is nothing.

        Raises:
            NotFound: It says that there is no such thing.
            ToolboxError: It refuses, in its own words, or cannot be reached.
        """
        answer = self._found(await self.send(method, path, body, headers=headers))
        return _decode(answer, object) if answer.content else None

    async def ask_state(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Object:
        """A thing as the server answers with it, and the ETag that says in which state it is.

        Raises: as `ask`.
        """
        answer = self._found(await self.send(method, path, body, headers=headers))
        return _decode(answer, Object) | {"etag": answer.headers.get("etag")}

    async def request(
        self, method: str, path: str, body: Any = None, *, patience: httpx.Timeout | None = None
    ) -> httpx.Response:
        """An answer that is no error.

        Raises:
            ToolboxError: It refuses, in its own words, or cannot be reached.
        """
        return self.check(await self.send(method, path, body, patience=patience))

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: httpx.Timeout | None = None,
    ) -> httpx.Response:
        """Any answer; the body is JSON, or `content` as it is.

        Raises:
            ToolboxError: The server cannot be reached.
        """
        if body is not None:
            content = msgspec.json.encode(body)
            headers = {"Content-Type": "application/json", **(headers or {})}
        try:
            return await self._client.request(
                method, path, content=content, headers=headers, timeout=patience or self._client.timeout
            )
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            hint = "; SSL_CERT_FILE names who has signed it" if "CERTIFICATE_VERIFY_FAILED" in reason else ""
            raise ToolboxError(f"{self._client.base_url} cannot be reached: {reason}{hint}") from error

    def _found(self, answer: httpx.Response) -> httpx.Response:
        problem = _problem(answer)
        if problem.get("code") in {"not_found", "tool_not_found"}:
            raise NotFound(problem["detail"].replace(FIND, "`toolbox find`"))
        return self.check(answer)

    def check(self, answer: httpx.Response) -> httpx.Response:
        """The answer, if it is no error.

        Raises:
            ToolboxError: It is one; says what the server says.
        """
        if answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            raise ToolboxError(
                f"{self._client.base_url} answers, but there is no ToolBox at this address: --url takes what "
                "`toolbox serve` printed, without /mcp"
            )
        if answer.is_error:
            said = f"the server answered {answer.status_code} {answer.reason_phrase}"
            said = str(_problem(answer).get("detail", said))
            hint = "; commands send the one in API_KEY" if answer.status_code == HTTPStatus.UNAUTHORIZED else ""
            raise ToolboxError(said + hint)
        return answer


class Remote(Server):
    """Works on a server."""

    async def find(self, request: Object) -> list[Object]:
        """See Backend."""
        answer = await self.send("POST", "/mcp/find_tool", request)
        checked = self._found(answer) if "toolset" in request else self.check(answer)
        return _decode(checked, list[Object])

    async def call(self, request: Object) -> Object:
        """See Backend."""
        patient = httpx.Timeout(REMOTE_TIMEOUT_SECONDS, read=None)  # the tool's own time limit ends it
        return _decode(self._found(await self.send("POST", "/mcp/call_tool", request, patience=patient)), Object)

    async def read_result(self, call_id: str, wanted: Object) -> "Result":
        """See Backend."""
        answer = await self.send("GET", f"/calls/{quote(call_id, safe='')}/result?{urlencode(wanted)}")
        if _problem(answer).get("code") == "not_found":
            raise NotFound(_problem(answer)["detail"])
        checked = self.check(answer)
        following = checked.links.get("next", {}).get("url")
        return Result(_decode(checked, object), int(checked.headers["X-Total-Count"]), following)

    async def list_tools(self, request: Object) -> tuple[list[Object], int]:
        """See Backend."""
        answer = await self.request("POST", "/mcp/list_tools", request)
        return _decode(answer, list[Object]), int(answer.headers["X-Total-Count"])

    async def get_tool(self, name: str) -> Object:
        """See Backend."""
        answer = await self.send("GET", f"/tools/{quote(name, safe='')}")
        problem = _problem(answer)
        if problem.get("code") == "tool_not_found" or "/" in name:  # an encoded slash leads to no tool's address
            raise _no_such_tool(name, problem.get("suggestions", []))
        return _decode(self.check(answer), Object)

    async def list_plugins(self) -> list[Object]:
        """See Backend."""
        return _decode(await self.request("GET", "/admin/plugins"), list[Object])


def _no_such_result(call_id: str) -> NotFound:
    return NotFound(f"there is no result {call_id[:100]!r} of yours")


def _no_such_tool(name: str, suggestions: list[str]) -> NotFound:
    """As ToolNotFound says it, in the words of the command line."""
    near = f"near names: {', '.join(suggestions)}" if suggestions else "`toolbox find` searches by meaning"
    return NotFound(f"there is no tool {name!r}; {near}")


def _problem(answer: httpx.Response) -> Object:
    """The problem details of an answer, where it has any."""
    try:
        return msgspec.json.decode(answer.content, type=Object) if answer.is_error else {}
    except msgspec.DecodeError:
        return {}


def _convert(request: Object, kind: type[T]) -> T:
    """The request as REST reads it.

    Raises:
        InvalidRequest: It says what REST does of what does not fit.
    """
    try:
        return msgspec.convert(request, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explain(error, kind)) from error


def _plain(value: Any, kind: type[T]) -> T:
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def _decode(answer: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.DecodeError as error:
        raise ToolboxError(f"{answer.url} does not answer as ToolBox does: {error}") from error
