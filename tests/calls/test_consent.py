"""Consent: a tool that may destroy something runs when the user has said yes, and not before."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from toolbox import ToolAnnotations, tool
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.consent import KEY
from toolbox.calls.service import CallRequest, CallResult
from toolbox.errors import InvalidArguments, ToolError
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Settings
from toolbox.tools.client import Elicitation, MissingCapability, Question, SilentClient

deleted: list[str] = []


@tool(title="Delete a file", annotations=ToolAnnotations(destructive_hint=True))
async def delete(path: str) -> str:
    """Delete a file."""
    deleted.append(path)
    return "deleted"


@tool
async def look(path: str) -> str:
    """Look at a file."""
    return path


class User(SilentClient):
    """A client whose user gives one answer, or none."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = list[Question]()

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """Answer."""
        self.asked += questions.values()
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict.fromkeys(questions, self.answer)


@pytest.fixture
async def services(settings: Settings, make_plugins: Callable[..., Plugins]) -> AsyncIterator[Services]:
    deleted.clear()
    async with open_services(settings, make_plugins(demo=[delete, look])) as opened:
        await opened.sync()
        yield opened


async def call(services: Services, client: Any, name: str = "delete", **more: Any) -> CallResult:
    values: dict[str, Any] = {"arguments": {"path": "/a"}, "asks_before_destructive": True} | more
    request = CallRequest(tool_name=f"demo_{name}", caller=Caller("me", ALL), channel="mcp", client=client, **values)
    return await services.calls.call_tool(request)


async def test_it_runs_when_the_user_says_yes(services: Services) -> None:
    user = User({"action": "accept", "content": {}})
    assert (await call(services, user)).value == "deleted"
    (question,) = user.asked
    assert isinstance(question, Elicitation)
    assert question.message == (
        'Run Delete a file (demo_delete)? It says that it may destroy something.\nArguments: {"path":"/a"}'
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"action": "decline"}, "the user declined"),
        ({"action": "cancel"}, "the user closed the question"),
        ({"action": "dance"}, "answer is none"),
        (ToolError("the client refused to answer"), "the client refused to answer"),
        (TimeoutError(), "did not answer within 600 s"),
    ],
)
async def test_anything_but_a_yes_is_a_no(services: Services, answer: Any, said: str) -> None:
    done = await call(services, User(answer))
    assert done.outcome.error_code == "declined"
    assert said in (done.outcome.error_message or "")
    assert deleted == []
    recorded = await services.history.read(done.execution_id, "me")
    assert recorded is not None
    assert recorded.error_code == "declined"


class FormlessUser(User):
    """One whose client shows no forms."""

    async def ask(self, questions: Mapping[str, Question]) -> Mapping[str, Any]:
        """Cannot."""
        raise MissingCapability("elicitation")


async def test_a_client_that_cannot_ask_is_told_what_is_needed(services: Services) -> None:
    done = await call(services, FormlessUser(None))
    assert done.outcome.error_code == "consent_needed"
    assert done.outcome.error_message == (
        "demo_delete was not run: it may destroy something, and the user has to be asked first. "
        "That needs a client that can show forms (elicitation): the client did not declare it"
    )
    assert deleted == []


async def test_nobody_is_asked_about_what_destroys_nothing_or_cannot_be_run(services: Services) -> None:
    user = User({"action": "decline"})
    assert (await call(services, user, "look")).success
    assert (await call(services, user, asks_before_destructive=False)).success
    with pytest.raises(InvalidArguments):
        await call(services, user, arguments={})
    assert user.asked == []


async def test_long_arguments_are_shortened_in_the_question(services: Services) -> None:
    user = User({"action": "accept"})
    await call(services, user, arguments={"path": "x" * 50_000})
    assert isinstance(user.asked[0], Elicitation)
    assert len(user.asked[0].message) < 1_200


def test_its_key_is_no_tools_own() -> None:
    assert KEY.startswith("toolbox_")
