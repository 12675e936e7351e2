"""Sessions with real processes: reused, restarted, bounded, and gone without a trace."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from toolbox.definitions import Upstream
from toolbox.errors import UpstreamFailed
from toolbox.metrics import UPSTREAM_CALLS, UPSTREAM_FAILED, UPSTREAM_FAILURES, UPSTREAM_UP
from toolbox.tools.base import ToolContext
from toolbox.tools.client import SILENT, Client, InputRequired, MissingCapability
from toolbox.upstreams import supervisor
from toolbox.upstreams.failures import BREAKER_FAILURES
from toolbox.upstreams.supervised import Supervised
from toolbox.upstreams.supervisor import Supervisor

HOSTILE = str(Path(__file__).with_name("hostile.py"))


async def as_it_is(text: str) -> str:
    return text


class Asked:
    """A caller that answers whatever it is asked, unless it is told to end the run instead."""

    def __init__(self, answer: Any = None, raises: BaseException | None = None) -> None:
        self.questions: list[Any] = []
        self.answer, self.raises = answer, raises
        self.progress: list[float] = []

    def supports(self, _capability: str) -> bool:
        return True

    async def report_progress(self, progress: float, _total: Any, _message: Any) -> None:
        self.progress.append(progress)

    def heard(self, progress: list[float]) -> bool:
        """Whether it heard how far a call had come; the last news may come with the result, and too late."""
        return bool(self.progress) and self.progress == progress[: len(self.progress)]

    async def log(self, *_: Any) -> None:
        pass

    async def release(self, _seconds: float) -> None:
        pass

    async def become_task(self) -> None:
        pass

    async def ask(self, questions: Any) -> Any:
        self.questions.append(questions)
        if self.raises:
            raise self.raises
        return dict.fromkeys(questions, self.answer)


def make_context(client: Client = SILENT, caller: str = "ada", seconds: float = 20.0) -> ToolContext:
    return ToolContext(
        tool_name="t",
        execution_id="1",
        caller=caller,
        timeout_seconds=seconds,
        run_blocking=asyncio.to_thread,
        client=client,
    )


@pytest.fixture
async def supervise() -> AsyncIterator[Callable[..., Supervised]]:
    """Looks after a hostile server in some mode: `supervise("mode", session="serial")`."""
    async with AsyncExitStack() as stack:
        looking = Supervisor(resolve=as_it_is)
        await stack.enter_async_context(looking.running())

        def make(*arguments: str, **options: Any) -> Supervised:
            upstream = Upstream(
                name="hostile",
                command=sys.executable,
                args=(HOSTILE, *arguments),
                **{"backoff_seconds": 0.01} | options,
            )
            looking.configure({"hostile": upstream})
            return looking.get("hostile")

        yield make
    me = psutil.Process()
    assert not [child for child in me.children() if "keeper.py" in " ".join(child.cmdline())]


async def call(supervised: Supervised, name: str, text: str = "", context: ToolContext | None = None) -> Any:
    params = {"name": name, "arguments": {"text": text}}
    return await supervised.request("tools/call", params, context or make_context())


async def text_of(supervised: Supervised, name: str, text: str = "", context: ToolContext | None = None) -> str:
    result = await call(supervised, name, text, context)
    return str(result["content"][0]["text"])


async def test_a_session_is_opened_by_need_and_kept(supervise: Any) -> None:
    supervised = supervise()
    assert supervised.status().state == "stopped"
    pids = {await text_of(supervised, "pid") for _ in range(3)}
    assert len(pids) == 1
    assert supervised.status().state == "running"
    assert supervised.status().processes == [int(pid) for pid in pids]
    result = await call(supervised, "echo", "hi")
    assert result == {
        "content": [{"type": "text", "text": "hi"}],
        "_meta": {"example/kept": True},
        "futureField": [1, 2],
    }


async def test_calls_at_the_same_time_share_one_start(supervise: Any) -> None:
    supervised = supervise()
    pids = await asyncio.gather(*(text_of(supervised, "pid") for _ in range(5)))
    assert len(set(pids)) == 1
    assert supervised.status().starts == 1


async def test_a_server_that_dies_in_a_call_fails_that_call_at_once_and_is_started_again(supervise: Any) -> None:
    supervised = supervise()
    first = await text_of(supervised, "pid")
    with pytest.raises(UpstreamFailed, match=r"connection was lost.*status 3"):
        await call(supervised, "die")
    assert await text_of(supervised, "pid") != first
    assert supervised.status().failures == 1


async def test_garbage_and_floods_harm_nobody(supervise: Any) -> None:
    supervised = supervise()
    assert await text_of(supervised, "garbage") == "after garbage"
    assert await text_of(supervised, "flood") == "flooded"
    assert any(line.source == "stdout" and "not JSON" in line.text for line in supervised.log.last())


async def test_a_line_that_is_too_long_ends_the_session(supervise: Any) -> None:
    supervised = supervise()
    with pytest.raises(UpstreamFailed, match="a line of more than 8,388,608 bytes"):
        await call(supervised, "long")
    assert await text_of(supervised, "echo", "well again") == "well again"


async def test_a_call_that_is_not_answered_ends_by_its_time_limit_and_the_session_goes_on(supervise: Any) -> None:
    supervised = supervise(call_seconds=0.3)
    with pytest.raises(UpstreamFailed, match=r"not answered tools/call within 0.3 s"):
        await call(supervised, "hang")
    assert await text_of(supervised, "echo", "still here") == "still here"


async def test_the_breaker_opens_for_one_that_never_answers(supervise: Any) -> None:
    supervised = supervise(call_seconds=0.05)
    await text_of(supervised, "pid")
    for _ in range(BREAKER_FAILURES):
        with pytest.raises(UpstreamFailed, match="not answered"):
            await call(supervised, "hang")
    with pytest.raises(UpstreamFailed, match="left alone for a moment"):
        await call(supervised, "echo")
    assert supervised.status().is_breaker_open


async def test_a_start_that_does_not_end_is_ended(supervise: Any) -> None:
    supervised = supervise("never-answers", connect_seconds=0.5, restarts=0)
    with pytest.raises(UpstreamFailed, match=r"not answered within 0.5 s"):
        await call(supervised, "echo")
    assert supervised.status().state == "failed"


async def test_a_start_that_fails_is_tried_again_until_the_limit(supervise: Any) -> None:
    supervised = supervise("fails", restarts=2)
    for _ in range(3):
        with pytest.raises(UpstreamFailed, match=r"status 4.*no such licence"):
            await call(supervised, "echo")
    assert supervised.status().state == "failed"
    with pytest.raises(UpstreamFailed, match="tried again in"):
        await call(supervised, "echo")
    assert supervised.status().starts == 3
    supervised.forgive()
    assert supervised.status().state == "stopped"


async def test_a_failure_that_passes_is_forgotten(supervise: Any, tmp_path: Path) -> None:
    supervised = supervise("fails-at-first", str(tmp_path / "tried"))
    with pytest.raises(UpstreamFailed, match="status 5"):
        await call(supervised, "echo")
    assert await text_of(supervised, "echo", "second try") == "second try"
    assert supervised.status().state == "running"


async def test_a_missing_program_fails_at_once(supervise: Any) -> None:
    supervised = supervise()
    supervisor = supervised._supervisor
    supervisor.configure({"hostile": Upstream(name="hostile", command="no-such-program")})
    with pytest.raises(UpstreamFailed, match="No such file"):
        await call(supervisor.get("hostile"), "echo")
    assert supervisor.get("hostile").status().state == "failed"


async def test_children_of_a_server_end_with_its_session(supervise: Any, tmp_path: Path) -> None:
    supervised = supervise("ignores-sigterm")
    assert await text_of(supervised, "fork", str(tmp_path)) == "forked"
    pids = [int((tmp_path / name).read_text()) for name in ("child", "grandchild", "session")]
    pids += supervised.status().processes
    assert all(psutil.pid_exists(pid) for pid in pids)
    await supervised.close_sessions()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_an_idle_session_is_closed_and_the_next_call_opens_another(supervise: Any) -> None:
    supervised = supervise(idle_seconds=0.01)
    first = await text_of(supervised, "pid")
    await asyncio.sleep(0.02)
    supervised.look_after(asyncio.get_running_loop().time() + 1e9)
    while psutil.pid_exists(int(first)):
        await asyncio.sleep(0.01)
    assert supervised.status().state == "stopped"
    assert supervised.status().failures == 0
    assert await text_of(supervised, "pid") != first


async def test_what_is_configured_anew_is_connected_anew(supervise: Any) -> None:
    first = supervise()
    pid = int(await text_of(first, "pid"))
    second = supervise(title="changed")
    assert second is not first
    assert int(await text_of(second, "pid")) != pid
    while psutil.pid_exists(pid):
        await asyncio.sleep(0.01)
    with pytest.raises(UpstreamFailed, match="changed or removed"):
        await call(first, "echo")


async def test_each_caller_has_a_session_where_the_upstream_wants_that(supervise: Any) -> None:
    supervised = supervise(session="per_caller")
    ada, bob = make_context(caller="ada"), make_context(caller="bob")
    pids = [await text_of(supervised, "pid", context=context) for context in (ada, bob, ada, bob)]
    assert pids[0] == pids[2]
    assert pids[1] == pids[3]
    assert pids[0] != pids[1]


async def test_calls_of_a_serial_upstream_run_one_after_another(supervise: Any) -> None:
    supervised = supervise(session="serial")
    results = await asyncio.gather(*(text_of(supervised, "slow", "0.05") for _ in range(3)))
    assert results == ["slow"] * 3
    assert supervised.status().sessions == 1


async def test_a_question_reaches_the_caller_of_the_only_call(supervise: Any) -> None:
    supervised = supervise(session="serial")
    client = Asked({"action": "accept", "content": {"name": "Ada"}})
    said = await text_of(supervised, "ask", context=make_context(client))
    assert json.loads(said) == {"action": "accept", "content": {"name": "Ada"}}
    assert client.questions[0]["question_1"].message == "Your name?"


async def test_a_question_that_cannot_be_tied_to_a_call_is_refused(supervise: Any) -> None:
    supervised = supervise(session="shared")
    client = Asked({"action": "accept", "content": {"name": "Ada"}})
    said = await text_of(supervised, "ask", context=make_context(client))
    assert "cannot be tied to one call" in json.loads(said)["message"]
    assert client.questions == []


async def test_after_a_call_was_given_up_the_next_one_gets_another_session(supervise: Any) -> None:
    supervised = supervise(session="serial")
    first = await text_of(supervised, "pid")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await call(supervised, "hang")
    assert await text_of(supervised, "pid") != first


async def test_a_server_is_told_of_a_call_that_was_given_up(supervise: Any) -> None:
    supervised = supervise()
    await supervised.session()  # a call that is given up while this opens was never sent
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await call(supervised, "hang")
    assert len(json.loads(await text_of(supervised, "echo", "(cancelled)"))) == 2


@pytest.mark.parametrize("why", [InputRequired({}), MissingCapability("elicitation")])
async def test_a_caller_that_must_be_asked_by_ending_the_call_is(supervise: Any, why: BaseException) -> None:
    supervised = supervise(session="serial")
    with pytest.raises(type(why)):
        await call(supervised, "ask", context=make_context(Asked(raises=why)))
    assert await text_of(supervised, "echo", "next") == "next"


async def test_lists_that_changed_are_told(supervise: Any) -> None:
    supervised = supervise()
    heard = asyncio.Event()
    supervised._supervisor.changed = lambda name, kind: heard.set() if (name, kind) == ("hostile", "tools") else None
    await call(supervised, "change")
    await asyncio.wait_for(heard.wait(), 5)
    session = await supervised.session()
    names = [tool["name"] for tool in await session.list_all("tools/list", "tools")]
    assert "added" in names
    assert await session.list_all("prompts/list", "prompts") == []


async def test_metrics_tell_of_calls_and_of_what_cannot_be_used(supervise: Any) -> None:
    calls, failed = UPSTREAM_CALLS["hostile", "ok"], UPSTREAM_CALLS["hostile", "upstream_failed"]
    before = calls._value.get(), failed._value.get()
    supervised = supervise()
    await call(supervised, "echo")
    assert UPSTREAM_UP[("hostile",)]._value.get() == 1
    supervised = supervise("fails", restarts=0)
    with pytest.raises(UpstreamFailed):
        await call(supervised, "echo")
    assert (calls._value.get(), failed._value.get()) == (before[0] + 1, before[1] + 1)
    assert UPSTREAM_FAILED[("hostile",)]._value.get() == 1


@pytest.fixture
def often_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.01)


async def test_metrics_do_not_call_one_failed_that_is_started_again_when_it_is_wanted(
    often_looked_at: None, supervise: Any
) -> None:
    supervised = supervise()
    before = UPSTREAM_FAILURES[("hostile",)]._value.get()
    with pytest.raises(UpstreamFailed):
        await call(supervised, "die")
    async with asyncio.timeout(20):
        while UPSTREAM_FAILURES[("hostile",)]._value.get() == before or UPSTREAM_FAILED[("hostile",)]._value.get():
            await asyncio.sleep(0.01)
    assert supervised.status().state == "stopped"
