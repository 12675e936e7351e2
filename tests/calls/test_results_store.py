"""Results that are too long: an excerpt that keeps the tool's promise, and all of it behind a handle."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import pytest
from litestar.testing import AsyncTestClient
from msgspec import Meta, Struct

from tests.conftest import BASE_URL, wait_until_ready
from toolbox import ImageContent, TextContent, ToolResult
from toolbox.app import create_app
from toolbox.auth.callers import Caller
from toolbox.auth.scopes import ALL
from toolbox.calls.budgets import count_content_tokens, count_tokens
from toolbox.calls.handles import Handle, read_handle, unescape
from toolbox.calls.service import CallRequest
from toolbox.definitions import ResourceLink
from toolbox.errors import InvalidRequest, NotFound
from toolbox.jobs import delete_old_rows
from toolbox.plugins import Plugins
from toolbox.services import Services, open_services
from toolbox.settings import Settings

NOBODYS = "00000000-0000-4000-8000-000000000000"
"""The id of no call."""

TEXT = "".join(f"line {number} of a long text\n" for number in range(2000))


class Row(Struct):
    """A row."""

    id: int
    name: str


class Table(Struct):
    """A table."""

    title: str
    rows: list[Row]


class Full(Struct):
    """A list that must be long."""

    rows: Annotated[list[int], Meta(min_length=1000)]


async def list_rows(count: int = 500) -> list[Row]:
    """Many rows."""
    return [Row(number, f"row {number}") for number in range(count)]


async def make_table(count: int = 500) -> Table:
    """A table."""
    return Table("all", [Row(number, f"row {number}") for number in range(count)])


async def fill() -> Full:
    """A list that no excerpt is."""
    return Full(list(range(2000)))


async def write() -> str:
    """A long text."""
    return TEXT


async def list_texts() -> list[str]:
    """A short text, a long one, and a short one."""
    return ["first", TEXT, "last"]


async def show() -> ToolResult:
    """Blocks."""
    return ToolResult((TextContent("see"), ImageContent("aGk=", "image/png"), TextContent(TEXT), TextContent("end")))


async def say() -> ToolResult:
    """One text and nothing else."""
    return ToolResult((TextContent(TEXT),))


async def say_and_give() -> ToolResult:
    """A value, and a text of its own for the model."""
    return ToolResult((TextContent(TEXT),), [{"id": number} for number in range(3)])


async def fail() -> ToolResult:
    """A long failure."""
    return ToolResult((TextContent(TEXT),), is_error=True)


TOOLS = [list_rows, make_table, fill, write, list_texts, show, say, say_and_give, fail]


async def issue_tokens() -> dict[str, Any]:
    """A secret, and many rows."""
    return {"token": "s3cr3t-swordfish", "rows": [{"id": number, "note": "hunter2"} for number in range(2000)]}


TOKEN = f"Bearer {'x' * 300}"


async def print_log(lines: int, secret_after: int) -> str:
    """A log with a secret in it."""
    written = [f"line {number} of a log" for number in range(lines)]
    return "\n".join([*written[:secret_after], TOKEN, *written[secret_after:]])


async def give_out(token_length: int) -> dict[str, Any]:
    """A secret that is most of a result, and rows."""
    return {"token": "s" * token_length, "rows": list(range(500))}


@pytest.fixture
def plugins(make_plugins: Callable[..., Plugins]) -> Plugins:
    return make_plugins(demo=[*TOOLS, issue_tokens, print_log, give_out])


@pytest.fixture
async def services(settings: Settings, plugins: Plugins) -> AsyncIterator[Services]:
    async with open_services(settings, plugins) as opened:
        await opened.sync()
        yield opened


@pytest.fixture
async def rest(settings: Settings, plugins: Plugins) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(settings, plugins), base_url=BASE_URL) as opened:
        await wait_until_ready(opened)
        yield opened


async def call(services: Services, name: str, max_tokens: int | None = 500, **arguments: Any) -> Any:
    request = CallRequest(
        tool_name=f"demo_{name}", arguments=arguments, caller=Caller("me", ALL), channel="rest", max_tokens=max_tokens
    )
    return await services.calls.call_tool(request)


async def read_all(services: Services, handle: Handle, max_tokens: int | None = 500) -> list[Any]:
    """The values of all pages from a handle on."""
    values = []
    following: Handle | None = handle
    while following:
        read = await services.calls.read_result(following, "me", max_tokens=max_tokens)
        values.append(read.page.value)
        following = read.next
    return values


@pytest.mark.parametrize("tool", [tool.__name__ for tool in TOOLS])
async def test_an_excerpt_is_within_its_budget_and_leads_on(services: Services, tool: str) -> None:
    done = await call(services, tool)
    assert count_content_tokens(done.result.content) <= 500
    assert isinstance(done.result.content[-1], ResourceLink)
    assert done.result.content[-1].uri == done.more.uri
    assert done.more.uri in done.result.content[-2].text


async def test_a_result_that_fits_is_given_as_it_is(services: Services) -> None:
    done = await call(services, "list_rows", count=3)
    assert done.more is None
    assert len(done.value) == 3
    assert (await services.database.fetch("select from results")) == []


async def test_a_list_goes_on_where_its_excerpt_ends(services: Services) -> None:
    done = await call(services, "list_rows")
    shown = msgspec.json.decode(done.result.content[0].text)
    assert shown == done.result.structured == done.value
    assert 5 < len(shown) < 100
    pages = await read_all(services, read_handle(done.more.uri))
    assert shown + [row for page in pages for row in page] == [{"id": n, "name": f"row {n}"} for n in range(500)]
    assert all(count_tokens(page) <= 500 for page in pages)


async def test_an_object_keeps_its_other_members(services: Services) -> None:
    done = await call(services, "make_table")
    assert done.result.structured["title"] == "all"
    rows = done.result.structured["rows"]
    for page in await read_all(services, read_handle(done.more.uri)):
        assert page["title"] == "all"
        rows = rows + page["rows"]
    assert [row["id"] for row in rows] == list(range(500))


async def test_a_value_whose_excerpt_would_break_its_schema_is_left_out_with_the_reason(services: Services) -> None:
    done = await call(services, "fill")
    assert done.result.structured is msgspec.UNSET
    assert "There is no structured content" in done.more.note
    whole = await services.calls.read_result(Handle(done.execution_id), "me")
    assert whole.page.value == {"rows": list(range(2000))}


async def test_where_links_would_break_the_schema_the_excerpt_ends_before_them(services: Services) -> None:
    """A list of texts may hold no link in the place of one."""
    done = await call(services, "list_texts")
    assert done.result.structured == ["first"]
    read = await services.calls.read_result(read_handle(done.more.uri), "me", max_tokens=500)
    link, last = read.page.value
    assert last == "last"
    assert "".join(await read_all(services, read_handle(link["uri"]))) == TEXT


async def test_texts_and_blocks_go_on(services: Services) -> None:
    done = await call(services, "write")
    rest = "".join(await read_all(services, read_handle(done.more.uri)))
    assert done.result.structured + rest == TEXT
    said = await call(services, "say")
    blocks = await read_all(services, read_handle(said.more.uri))
    assert said.result.content[0].text + "".join(page[0]["text"] for page in blocks) == TEXT
    shown = await call(services, "show", max_tokens=2500)
    assert [type(block) for block in shown.result.content[:3]] == [TextContent, ImageContent, ResourceLink]
    assert "".join(await read_all(services, read_handle(shown.result.content[2].uri))) == TEXT


async def test_pages_go_on_where_the_excerpt_ends_though_secrets_are_not_kept(services: Services) -> None:
    """Wherever the secret is: before the place where the excerpt ends, around it or behind it."""
    for secret_after in (0, 10, *range(55, 70), 200):
        done = await call(services, "print_log", lines=300, secret_after=secret_after)
        rest = "".join(await read_all(services, read_handle(done.more.uri)))
        assert "xxxxxx" not in rest
        lines = [line for line in (done.value + rest).split("\n") if line.startswith("line")]
        assert list(dict.fromkeys(lines)) == [f"line {number} of a log" for number in range(300)]
        assert len(lines) <= 303


async def test_what_is_cut_elsewhere_without_its_secrets_is_read_from_its_beginning(services: Services) -> None:
    done = await call(services, "give_out", token_length=20_000)
    pages = await read_all(services, read_handle(done.more.uri))
    assert [row for page in pages for row in page["rows"]] == list(range(500))
    assert {page["token"] for page in pages} == {"[redacted]"}


async def test_content_that_says_something_else_is_kept_beside_the_value(services: Services) -> None:
    done = await call(services, "say_and_give")
    assert done.result.structured == [{"id": 0}, {"id": 1}, {"id": 2}]
    pages = await read_all(services, read_handle(done.more.uri))
    assert done.result.content[0].text + "".join(page[0]["text"] for page in pages) == TEXT


async def test_a_failure_stays_one(services: Services) -> None:
    done = await call(services, "fail")
    assert not done.success
    assert done.result.is_error


async def test_a_handle_is_on_disk_and_is_its_callers_own(services: Services) -> None:
    done = await call(services, "list_rows")
    handle = Handle(done.execution_id)
    assert len((await services.calls.read_result(handle, "me")).page.value) == 500
    recorded = await services.history.read(done.execution_id, "me")
    assert recorded is not None
    assert len(msgspec.json.decode(recorded.result or b"")) == 500
    for other, caller in ((handle, "somebody else"), (Handle(uuid4()), "me")):
        with pytest.raises(NotFound):
            await services.calls.read_result(other, caller)
    with pytest.raises(NotFound, match="no part '/500'"):
        await services.calls.read_result(Handle(done.execution_id, "/500"), "me")


async def test_results_go_when_the_calls_do(services: Services) -> None:
    done = await call(services, "list_rows")
    await delete_old_rows(services.database, call_retention_days=30)
    await services.calls.read_result(Handle(done.execution_id), "me")
    long_ago = datetime.now(UTC) - timedelta(days=31)
    await services.database.execute("update results set created_at = $1", long_ago)
    await services.database.execute("update calls set started_at = $1", long_ago)
    await delete_old_rows(services.database, call_retention_days=30)
    with pytest.raises(NotFound):
        await services.calls.read_result(Handle(done.execution_id), "me")


async def test_where_it_cannot_be_kept_a_result_is_given_whole(services: Services) -> None:
    """The tool has run: its result must not be lost, and no handle be given that leads nowhere."""
    await services.database.execute(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise 'this is a standby' using errcode = 'read_only_sql_transaction'; end $$"
    )
    await services.database.execute("create trigger refuse before insert on results execute function refuse()")
    done = await call(services, "list_rows")
    assert done.more is None
    assert len(done.value) == 500


def test_a_handle_says_everything_in_its_uri() -> None:
    for handle in (
        Handle(uuid4()),
        Handle(uuid4(), offset=20, limit=5),
        Handle(uuid4(), "/a b/~1&offset=9/ä?#%", 3),
    ):
        assert read_handle(handle.uri) == handle
        assert handle.path.startswith(f"/calls/{handle.id}/result")
    assert read_handle(unescape(f"{NOBODYS}?at=/a b&offset=3")).at == "/a b"


@pytest.mark.parametrize(
    "text",
    ["", "result://x", f"result://{NOBODYS}?offset=x", f"result://{NOBODYS}?limit=0", f"{NOBODYS}?a=1", "-" * 36],
)
def test_what_is_no_handle_is_said(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_handle(text)


class TestOverRest:
    async def test_an_excerpt_leads_from_page_to_page(self, rest: AsyncTestClient[Any]) -> None:
        body = {"tool_name": "demo_list_rows", "max_tokens": 500}
        answer = (await rest.post("/mcp/call_tool", json=body)).json()
        rows, path = answer["result"], answer["more"]["path"]
        assert answer["more"] | {"note": ""} == {
            "shown": len(rows),
            "total": 500,
            "unit": "items",
            "uri": f"result://{answer['execution_id']}?offset={len(rows)}",
            "path": f"/calls/{answer['execution_id']}/result?offset={len(rows)}",
            "note": "",
        }
        path += "&limit=100"
        while path:
            page = await rest.get(path)
            assert page.headers["X-Total-Count"] == "500"
            rows += page.json()
            path = page.links.get("next", {}).get("url", "")
        assert [row["id"] for row in rows] == list(range(500))

    async def test_nothing_is_cut_unasked(self, rest: AsyncTestClient[Any]) -> None:
        answer = (await rest.post("/mcp/call_tool", json={"tool_name": "demo_write"})).json()
        assert answer["result"] == TEXT
        assert "more" not in answer
        part = await rest.get(f"/calls/{answer['execution_id']}/result?offset=5&limit=9")
        assert part.json() == TEXT[5:14]

    async def test_a_part_is_read_alone(self, rest: AsyncTestClient[Any]) -> None:
        answer = (await rest.post("/mcp/call_tool", json={"tool_name": "demo_make_table"})).json()
        part = await rest.get(f"/calls/{answer['execution_id']}/result", params={"at": "/rows/7/name"})
        assert (part.json(), part.headers["X-Total-Count"]) == ("row 7", "5")

    @pytest.mark.parametrize(
        ("path", "status"),
        [("x/result", 404), (f"{NOBODYS}/result", 404), (f"{NOBODYS}/result?offset=-1", 400)],
    )
    async def test_what_is_not_there_is_said(self, rest: AsyncTestClient[Any], path: str, status: int) -> None:
        assert (await rest.get(f"/calls/{path}")).status_code == status

    @pytest.mark.parametrize("max_tokens", [0, 99, 1_000_001, "many"])
    async def test_a_budget_has_limits(self, rest: AsyncTestClient[Any], max_tokens: Any) -> None:
        body = {"tool_name": "demo_write", "max_tokens": max_tokens}
        assert (await rest.post("/mcp/call_tool", json=body)).status_code == 400


async def test_secrets_are_given_and_not_kept(rest: AsyncTestClient[Any], services: Services) -> None:
    body = {"tool_name": "demo_issue_tokens", "max_tokens": 500}
    answer = (await rest.post("/mcp/call_tool", json=body)).json()
    assert answer["result"]["token"] == "s3cr3t-swordfish"
    for path in (f"/calls/{answer['execution_id']}", f"/calls/{answer['execution_id']}/result"):
        text = (await rest.get(path)).text
        assert ("s3cr3t" in text, '"token":"[redacted]"' in text, "hunter2" in text) == (False, True, True)
    rows = await services.database.fetch("select value::text as value from results")
    assert rows
    assert all("s3cr3t" not in row["value"] for row in rows)
