"""A session with a server, kept open for many calls: one task owns it, and calls come to it from other tasks.

The SDK's client has to be entered and left by the same task, and what goes wrong in its background ends whatever runs
in it: so the owner runs nothing but the connection. Requests use the SDK's raw path, so that nothing that a server says
is lost on the way.

A question of the server's to a user or model (elicitation, sampling) goes to the caller of the call that it belongs to.
The stateless era asks by a result, and a response stream of Streamable HTTP belongs to one request: there it is known.
Elsewhere it is known only where one call runs at a time and no earlier one was given up. All others are refused.
"""

import asyncio
import contextlib
import contextvars
import functools
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import structlog

from toolbox.definitions import Upstream
from toolbox.errors import ToolboxError, UpstreamFailed
from toolbox.tools.base import ToolContext
from toolbox.tools.client import (
    InputRequired,
    MissingCapability,
    TaskRequired,
)
from toolbox.upstreams.logs import Log
from toolbox.upstreams.process import Process, describe_status, inherited_environment, start_process
from toolbox.upstreams.sdk import (
    INVALID_REQUEST,
    ServerInfo,
    describe_server,
    innermost_reason,
    is_modern,
    load_sdk,
    requests_by_method,
    to_answer,
    to_question,
    to_refusal,
    without_nothing,
)
from toolbox.version import VERSION

if TYPE_CHECKING:  # the SDK takes the better part of a second to load, and only upstreams need it
    import mcp
    from mcp.client.session import ClientRequestContext
    from mcp_types import CreateMessageRequestParams, ElicitRequestParams, LoggingMessageNotificationParams

logger = structlog.get_logger(__name__)

MAX_ROUNDS = 10
"""How often one call may ask its caller."""
MAX_PAGES = 200
MAX_ITEMS = 10_000
"""Of one list of a server."""
LISTEN_PAUSE_SECONDS = 5.0
CLOSE_SECONDS = 5.0
HEADER_MISMATCH = -32020
CONNECTION_CLOSED = -32000
REQUEST_TIMEOUT = -32001
METHOD_NOT_FOUND = -32601

LASTING_STATUSES = frozenset({400, 401, 402, 403, 404, 405, 406, 410, 415})
"""What HTTP says of an address that is no MCP server, or is none for us: the next attempt would be told the same."""

ListKind = Literal["tools", "prompts", "resources"]
LISTS: tuple[ListKind, ...] = ("tools", "prompts", "resources")


class Lost(UpstreamFailed):
    """The session has ended; whether the request was carried out is unknown, unless it `was_sent` not at all."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class ServerError(ToolboxError):
    """The server answered with an error of JSON-RPC."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Resolve(Protocol):
    """Looks up what `${...}` stands for in the text of a configuration."""

    async def __call__(self, text: str) -> str:
        """The text with everything filled in."""
        ...


class _Call:
    """One call in flight, and whom to ask when the server has a question about it."""

    def __init__(self, context: ToolContext) -> None:
        self.context = context
        self.task = asyncio.current_task()
        self.interruption: BaseException | None = None
        self.questions = 0

    def interrupt(self, why: BaseException) -> None:
        """End the call: its caller has to do something first."""
        self.interruption = why
        if self.task is not None:
            self.task.cancel()


_current: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("upstream_call", default=None)


class Session:
    """One connection to one server."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        log: Log,
        resolve: Resolve,
        command: tuple[str, ...] = (),
        folder: Path | None = None,
        mode: str = "auto",
        on_change: Callable[[ListKind], None] = lambda _: None,
    ) -> None:
        """`command` and `folder` are what to run and where, unless the upstream says; `on_change` hears of changes."""
        self._upstream = upstream
        self._log = log
        self._resolve = resolve
        self._command = command
        self._folder = folder
        self._mode = {"auto": "auto", "legacy": "legacy", "modern": "2026-07-28"}.get(mode, "auto")
        self._on_change = on_change
        self._ending = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._client: mcp.Client | None = None
        self._reason: str | None = None
        self._calls = list[_Call]()
        self.process: Process | None = None
        self.info: ServerInfo | None = None
        self.is_tainted = False
        """Whether a call was given up that the server may still be working at: its late questions look like others'."""
        self.used_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._client is not None and self._owner is not None and not self._owner.done()

    @property
    def is_idle(self) -> bool:
        """Whether no call runs."""
        return not self._calls

    @property
    def reason(self) -> str | None:
        """Why it has ended."""
        return self._reason

    async def open(self) -> ServerInfo:
        """Connect. What is cancelled here is closed.

        Raises:
            UpstreamFailed: The server does not start, cannot be reached, or does not speak MCP.
        """
        opened: asyncio.Future[ServerInfo] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(opened), name=f"upstream {self._upstream.name}")
        limit = self._upstream.connect_seconds
        try:
            async with asyncio.timeout(limit):
                await asyncio.wait([self._owner, opened], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
        except TimeoutError:
            await self.close()
            raise UpstreamFailed(self._explain(f"it has not answered within {limit:g} s")) from None
        except BaseException:
            await asyncio.shield(asyncio.create_task(self.close()))
            raise
        if not opened.done():
            await asyncio.wait({self._owner})
            opened.set_exception(UpstreamFailed(self._explain(self._reason or "it has ended at once")))
        self.info = await opened
        return self.info

    async def close(self) -> None:
        """Disconnect; the process and all that came of it are gone when this returns. Twice is once."""
        self._ending.set()
        owner = self._owner
        if owner is not None and not owner.done():
            if self._client is not None:
                await asyncio.wait({owner}, timeout=CLOSE_SECONDS)
            if not owner.done():
                owner.cancel()
                await asyncio.wait({owner}, timeout=30)
        if self.process is not None:
            await self.process.stop()

    async def wait_closed(self) -> None:
        """Wait until it is over, for whatever reason."""
        if self._owner is not None:
            await asyncio.wait({self._owner})

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        seconds: float | None = None,
        context: ToolContext | None = None,
    ) -> dict[str, Any]:
        """Send a request and give back the result as it came, with all that is unknown to us in it.

        With `context`, its caller hears how far the request has come, and is asked what the server asks.

        Raises:
            ServerError: The server answered with an error.
            Lost: The session ended meanwhile.
            UpstreamFailed: No answer in time, or one that is none.
        """
        if context is None:
            return await self._send(method, params, seconds, None)
        call = _Call(context)
        token = _current.set(call)
        self._calls.append(call)
        is_given_up = True
        try:
            result = await self._send_by_rounds(method, params, seconds, call)
            is_given_up = False
        except asyncio.CancelledError:
            if call.interruption is None:
                raise
            if call.task is not None:
                call.task.uncancel()
            raise call.interruption from None
        except (ServerError, InputRequired, MissingCapability, TaskRequired):
            is_given_up = False
            raise
        finally:
            self._calls.remove(call)
            _current.reset(token)
            self.is_tainted = self.is_tainted or is_given_up
            self.used_at = time.monotonic()
        return result

    async def list_all(self, method: str, member: str) -> list[dict[str, Any]]:
        """All pages of a list; empty where the server has no such list."""
        found, cursors, cursor = list[dict[str, Any]](), set[str](), None
        for _ in range(MAX_PAGES):
            try:
                page = await self._send(method, {"cursor": cursor} if cursor else {}, self._upstream.list_seconds, None)
            except ServerError as error:
                if error.number == METHOD_NOT_FOUND and not found:
                    return []
                raise
            items = page.get(member)
            found += [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
            if len(found) > MAX_ITEMS:
                raise UpstreamFailed(f"{method} has more than {MAX_ITEMS:,} {member}", is_lasting=True)
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return found
            if cursor in cursors:
                raise UpstreamFailed(f"{method} repeats its pages", is_lasting=True)
            cursors.add(cursor)
        raise UpstreamFailed(f"{method} has more than {MAX_PAGES} pages", is_lasting=True)

    async def mirror_headers(self) -> None:
        """Let the SDK learn which arguments of tools also travel as HTTP headers (MCP 2026-07-28, x-mcp-header)."""
        assert self._client is not None  # noqa: S101 - only an open session is asked
        cursor = None
        for _ in range(MAX_PAGES):
            page = await self._client.list_tools(cursor=cursor)
            cursor = page.next_cursor
            if cursor is None:
                break

    # What the owner does.

    async def _own(self, opened: asyncio.Future[ServerInfo]) -> None:
        try:
            async with self._connect() as client:
                self._client = client
                if not opened.done():
                    opened.set_result(describe_server(client))
                await self._stay(client)
        except (Exception, asyncio.CancelledError) as error:  # whatever the SDK and a server come up with
            if self._reason is None:
                self._reason = None if self._ending.is_set() else innermost_reason(error)
            if not opened.done():
                failure = error if isinstance(error, UpstreamFailed) else self._judge(error)
                opened.set_exception(failure)
                opened.exception()  # looked at here, so that nobody has to
            if isinstance(error, asyncio.CancelledError) and self._ending.is_set():
                raise
        finally:
            self._client = None
            if self.process is not None:
                await self.process.stop()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator["mcp.Client"]:
        await load_sdk()
        from mcp import Client
        from mcp_types import Implementation

        async with contextlib.AsyncExitStack() as stack:
            transport = await self._open_transport(stack)
            client = Client(
                transport,
                mode=self._mode,
                cache=None,
                client_info=Implementation(name="toolbox", version=VERSION),
                elicitation_callback=self._elicit,
                sampling_callback=self._sample,
                logging_callback=self._hear_log,
                message_handler=self._hear,
            )
            yield await stack.enter_async_context(client)

    async def _open_transport(self, stack: contextlib.AsyncExitStack) -> Any:
        from toolbox.upstreams.transports import (
            Ending,
            HttpReport,
            create_http_client,
            http_streams,
            sse_streams,
            stdio_streams,
        )

        upstream, self._transport_ending, self._http = self._upstream, Ending(), HttpReport()
        if upstream.transport == "stdio":
            environment = inherited_environment(os.environ)
            environment |= {name: await self._resolve(value) for name, value in upstream.env.items()}
            command = (*(self._command or (upstream.command or "",)), *upstream.args)
            self.process = await start_process(
                [await self._resolve(part) for part in command],
                environment=environment,
                folder=_expand(await self._resolve(upstream.cwd)) if upstream.cwd else self._folder,
                log=self._log,
            )
            return stdio_streams(self.process, self._log, self._transport_ending)
        url = await self._resolve(upstream.url or "")
        client = create_http_client(
            url,
            headers={name: await self._resolve(value) for name, value in upstream.headers.items()},
            connections=upstream.concurrency + 4,
            connect_seconds=min(upstream.connect_seconds, 10.0),
            report=self._http,
            auth=await self._authorize(url),
        )
        if upstream.transport == "sse":
            return sse_streams(url, client)
        return http_streams(url, await stack.enter_async_context(client))

    async def _authorize(self, url: str) -> Any:
        if self._upstream.auth is None:
            return None
        from toolbox.upstreams.tokens import create_auth

        credentials = self._upstream.auth
        return create_auth(
            url,
            await self._resolve(credentials.client_id),
            await self._resolve(credentials.client_secret),
            credentials.scope,
            credentials.issuer and await self._resolve(credentials.issuer),
        )

    async def _stay(self, client: "mcp.Client") -> None:
        """Hold the connection until somebody wants it closed, or it closes by itself."""
        ends = self._ending.wait(), self._transport_ending.ended.wait()
        waits = {asyncio.create_task(end) for end in ends}
        if is_modern(client.protocol_version):
            waits.add(asyncio.create_task(self._listen(client)))  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self._transport_ending.reason:
                status = self.process.status if self.process else None
                ended = f" ({describe_status(status)})" if status is not None else ""
                self._reason = f"{self._transport_ending.reason}{ended}"
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _listen(self, client: "mcp.Client") -> None:
        """Hear of changes as the stateless era tells them; never ends by itself, as that would close the session."""
        capabilities = client.server_capabilities
        wanted: dict[str, Any] = {
            "tools_list_changed": bool(capabilities.tools and capabilities.tools.list_changed),
            "prompts_list_changed": bool(capabilities.prompts and capabilities.prompts.list_changed),
            "resources_list_changed": bool(capabilities.resources and capabilities.resources.list_changed),
        }
        while any(wanted.values()):
            try:
                async with client.listen(**wanted) as subscription:
                    async for event in subscription:
                        kind = type(event).__name__
                        for name in LISTS:
                            if kind.lower().startswith(name):
                                self._on_change(name)
            except Exception as error:  # noqa: BLE001 - as above
                logger.debug("a server tells of no changes", upstream=self._upstream.name, reason=str(error))
            await asyncio.sleep(LISTEN_PAUSE_SECONDS)
        await asyncio.Event().wait()

    def _judge(self, error: BaseException) -> UpstreamFailed:
        """A failure to connect in our words, and whether it lasts."""
        status = self._http.status if hasattr(self, "_http") else None
        if status is not None and status in LASTING_STATUSES:
            hint = {401: "its credentials are wrong or missing", 403: "its credentials do not allow it"}.get(
                status, "there is no MCP server at this address, or it wants another transport"
            )
            return UpstreamFailed(f"it answers HTTP {status}: {hint}", is_lasting=True)
        if status is not None and status >= 400:
            return UpstreamFailed(f"it answers HTTP {status}")
        ending = getattr(self, "_transport_ending", None)
        said = ending.reason if ending is not None and ending.reason else innermost_reason(error)
        if self.process is not None and self.process.status is not None:
            said = f"its process has ended ({describe_status(self.process.status)}) before it answered"
        return UpstreamFailed(self._explain(said), is_lasting="Unsupported protocol version" in said)

    def _explain(self, said: str) -> str:
        tail = self._log.tail()
        return f"{said}; the last it wrote: {tail}" if tail else said

    # Requests.

    async def _send_by_rounds(
        self, method: str, params: Mapping[str, Any], seconds: float | None, call: _Call
    ) -> dict[str, Any]:
        result = await self._send(method, params, seconds, call)
        for _ in range(MAX_ROUNDS):
            if result.get("resultType") != "input_required":
                return result
            answers = await self._ask_by_key(result.get("inputRequests") or {}, call)
            more: dict[str, Any] = {"requestState": result["requestState"]} if "requestState" in result else {}
            if answers:
                more["inputResponses"] = answers
            else:
                await asyncio.sleep(0.1)
            result = await self._send(method, {**params, **more}, seconds, call)
        raise UpstreamFailed(f"it asked more than {MAX_ROUNDS} times for one call")

    async def _send(
        self, method: str, params: Mapping[str, Any], seconds: float | None, call: _Call | None
    ) -> dict[str, Any]:
        from mcp import MCPError
        from pydantic import ValidationError

        client = self._client
        if client is None or not self.is_open:
            raise Lost(self._reason or "the session was closed", was_sent=False)
        progress = functools.partial(_report_progress, call.context) if call else None
        request, result_type = requests_by_method()[method](params)

        async def send() -> dict[str, Any]:
            result: dict[str, Any] = await client.session.send_request(
                request, result_type, seconds, progress_callback=progress
            )
            return result

        try:
            try:
                return await send()
            except MCPError as error:
                if error.error.code != HEADER_MISMATCH or not is_modern(client.protocol_version):
                    raise
                await self.mirror_headers()
                return await send()
        except MCPError as error:
            raise await self._translate(error, method, seconds) from error
        except ValidationError as error:
            raise UpstreamFailed(f"its answer to {method} is not what MCP says: {_first_line(error)}") from error
        except RuntimeError as error:  # the SDK's own, of a session that was closed under it
            raise Lost(self._reason or str(error), was_sent=False) from error

    async def _translate(self, error: Any, method: str, seconds: float | None) -> ToolboxError:
        number, message = error.error.code, error.error.message
        if number == REQUEST_TIMEOUT and message.endswith("timed out"):
            return UpstreamFailed(f"it has not answered {method} within {seconds:g} s")
        if number == CONNECTION_CLOSED and message == "Connection closed":
            if self._owner is not None:  # which is about to know why
                await asyncio.wait({self._owner}, timeout=1)
            return Lost(self._explain(f"the connection was lost: {self._reason or 'it has ended'}"))
        if number == CONNECTION_CLOSED or (number == -32700 and message.startswith("Failed to parse")):
            return UpstreamFailed(f"its answer to {method} broke off: {message[:300]}")
        if number == INVALID_REQUEST and message == "Session terminated":
            self._ending.set()
            return Lost("the server has forgotten the session", was_sent=False)
        status = self._http.status
        if status is not None and status >= 400 and message in {"Server returned an error response", "Not Found"}:
            return UpstreamFailed(f"it answers HTTP {status}", is_lasting=status in LASTING_STATUSES)
        return ServerError(message, number)

    # Questions of the server.

    def _find_call(self) -> _Call | None:
        """The call that a question belongs to, if that is certain."""
        call = _current.get()
        if call is not None:
            return call if call in self._calls else None
        if self._upstream.session == "shared" or self.is_tainted or len(self._calls) != 1:
            return None
        return self._calls[0]

    async def _elicit(self, context: "ClientRequestContext", params: "ElicitRequestParams") -> Any:  # noqa: ARG002
        return await self._answer("elicitation/create", params)

    async def _sample(self, context: "ClientRequestContext", params: "CreateMessageRequestParams") -> Any:  # noqa: ARG002
        return await self._answer("sampling/createMessage", params)

    async def _answer(self, method: str, params: Any) -> Any:
        call = self._find_call()
        if call is None:
            self._log.add("toolbox", f"a question ({method}) was refused: it cannot be tied to one call")
            return to_refusal("this question cannot be tied to one call; ToolBox's `session` setting has more")
        call.questions += 1
        plain = params.model_dump(by_alias=True, mode="json", exclude_none=True)
        try:
            answers = await self._ask_by_key({f"question_{call.questions}": {"method": method, "params": plain}}, call)
        except (InputRequired, TaskRequired, MissingCapability) as why:
            call.interrupt(why)
            return to_refusal("the caller has to be asked first; the call was ended")
        except Exception as error:  # noqa: BLE001 - whatever the caller's client came up with
            return to_refusal(str(error))
        return to_answer(method, next(iter(answers.values())))

    async def _ask_by_key(self, requests: Mapping[str, Any], call: _Call) -> dict[str, Any]:
        """What our caller answers to a server's questions, by their keys.

        Raises:
            InputRequired: The caller is asked by ending the call.
            MissingCapability: The caller cannot be asked.
        """
        questions = {key: to_question(request) for key, request in requests.items()}
        if not questions:
            return {}
        answers = await call.context.ask(questions)
        return {key: without_nothing(msgspec.to_builtins(answer)) for key, answer in answers.items()}

    async def _hear_log(self, params: "LoggingMessageNotificationParams") -> None:
        call = _current.get() or (self._calls[0] if len(self._calls) == 1 and not self.is_tainted else None)
        if call is not None:
            await call.context.log(params.level, params.data, params.logger)
        else:
            self._log.add(params.level, str(params.data))

    async def _hear(self, message: Any) -> None:
        kind = type(message).__name__
        for name in LISTS:
            if kind.lower().startswith(f"{name.removesuffix('s')}listchanged"):
                self._on_change(name)


def _expand(folder: str) -> Path:
    return Path(folder).expanduser()


async def _report_progress(context: ToolContext, progress: float, total: float | None, message: str | None) -> None:
    await context.report_progress(progress, total, message)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return " ".join(line.strip() for line in lines[:3])[:300]
