"""Answers of clients to our questions: each finds the request that waits for it.

The id of a question is a secret between one request and its client, and used once: it is all an answer has to show.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct

from toolbox.errors import ToolError
from toolbox.mcp.messages import ClientResponse


class _Refusal(Struct, frozen=True):
    message: str = "it gave no reason"


class Expected(NamedTuple):
    """A question on its way."""

    request_id: str
    answer: asyncio.Future[Any]


class PendingAnswers:
    """The questions that this replica waits for."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._waiting = dict[str, asyncio.Future[Any]]()
        self._is_closing = False

    @property
    def ids(self) -> Collection[str]:
        """Those of the questions."""
        return self._waiting.keys()

    @contextlib.contextmanager
    def expect(self) -> Iterator[Expected]:
        """The id of a new question, and a future of its answer, which may come while the block runs.

        The future raises ToolError if the client refuses.
        """
        request_id = self._new_id()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        if self._is_closing:
            _give_up(answer)
        try:
            yield Expected(request_id, answer)
        finally:
            del self._waiting[request_id]
            answer.cancel()

    def close(self) -> None:
        """Wait for no answer any more: the process stops, and people may take long to answer."""
        self._is_closing = True
        for answer in self._waiting.values():
            _give_up(answer)

    def settle(self, response: ClientResponse) -> bool:
        """Hand an answer to the request that waits for it; false if none does, here."""
        answer = self._waiting.get(response.id) if isinstance(response.id, str) else None
        if answer is None:
            return False
        if answer.done():
            return True
        if response.result is UNSET:
            answer.set_exception(ToolError(f"the client refused to answer: {_reason(response.error)}"))
        else:
            answer.set_result(msgspec.json.decode(response.result))
        return True


def _give_up(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(ToolError("the server stops before the client has answered; call again"))


def _reason(error: "Raw | msgspec.UnsetType") -> str:
    try:
        return msgspec.json.decode(error, type=_Refusal).message if isinstance(error, Raw) else _Refusal().message
    except msgspec.DecodeError:
        return _Refusal().message
