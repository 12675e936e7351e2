"""Running the functions behind resources, prompts and completions: time and concurrency limited, no crash gets out."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import uuid4

import structlog

from toolbox.errors import ToolboxError, ToolError
from toolbox.mcp.messages import INTERNAL_ERROR, ProtocolError
from toolbox.request_context import explain
from toolbox.tools.base import ToolContext
from toolbox.tools.client import Client
from toolbox.waiting import Places

logger = structlog.get_logger(__name__)

T = TypeVar("T")

MAX_WAITING = 1000


class Runner:
    """Runs functions of plugins under common limits, apart from those of tools: neither can starve the other."""

    def __init__(self, *, concurrency: int = 16, timeout_seconds: float = 60) -> None:
        self._timeout_seconds = timeout_seconds
        self._places = Places[None](concurrency, queue=MAX_WAITING, what="what plugins offer")
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="offer")

    def close(self) -> None:
        """Give the threads back; one that still runs a function ends when the function does."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, name: str, work: Callable[[ToolContext], Awaitable[T]], *, caller: str, client: Client) -> T:
        """What the work comes to; `name` says in errors and in the log what it was.

        Raises:
            ProtocolError: It failed, in its own words, or took too long, or crashed: then the log knows the error_id.
            Overloaded: Too much waits already.
            InputRequired: The client must answer first, and ask again.
        """
        execution_id = uuid4().hex
        context = ToolContext(
            tool_name=name,
            execution_id=execution_id,
            caller=caller,
            timeout_seconds=self._timeout_seconds,
            run_blocking=self._run_blocking,
            client=client,
        )
        time_limit = asyncio.timeout(self._timeout_seconds)
        try:
            async with self._places.place(None), time_limit:
                return await work(context)
        except ToolError as error:
            raise ProtocolError(INTERNAL_ERROR, str(error)) from error
        except ToolboxError:
            raise
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            # Foreign code: neither its crash, nor its exit(), nor a stray cancellation may end more than itself.
            if isinstance(error, TimeoutError) and time_limit.expired():
                said = f"{name} took longer than {self._timeout_seconds:g} s"
                raise ProtocolError(INTERNAL_ERROR, said) from error
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            logger.exception("what a plugin offers crashed", name=name, error_id=execution_id)
            said = f"{name} crashed; the log explains it under the error_id"
            data = {"error_id": execution_id}
            if detail := explain(error):
                data["detail"] = detail
            raise ProtocolError(INTERNAL_ERROR, said, data=data) from error

    async def _run_blocking(self, function: Callable[[], Any]) -> Any:
        """In a thread of our own pool, with the context variables of the request."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, function)


def _is_cancelled() -> bool:
    """Whether the request is ending, rather than the function having cancelled itself."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
