"""Commands for upstreams: the MCP servers whose tools ToolBox offers."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from toolbox.cli.backend import Backend, Remote, find_server_url, local_caller, local_settings, open_local, run
from toolbox.cli.managing import print_waiting
from toolbox.cli.output import count, json_option, print_json, print_table, url_option
from toolbox.errors import InvalidRequest, ToolboxError, UpstreamFailed
from toolbox.plain_words import explain
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where they are used: --help needs no database driver
    from toolbox.services import Services
    from toolbox.upstreams.hosts import FoundServers
    from toolbox.upstreams.service import UpstreamService

T = TypeVar("T")


@click.group()
def upstreams() -> None:
    """Look after upstreams: the MCP servers whose tools ToolBox offers.

    `toolbox import --mcp FILE` adds those of a host's file.
    """


@upstreams.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """List the upstreams, and how they are."""
    found = _work(url, ("GET", ""), _list)
    if as_json:
        print_json(found)
        return
    rows = [
        (each["name"], _state(each), each["tools"], each["transport"], each["origin"], each["problem"] or "")
        for each in found
    ]
    columns = ("name", "state", "tools", "transport", "from", "problem")
    print_table(columns, rows, caption=None if rows else "no upstreams yet: `toolbox import --mcp FILE` adds some")


@upstreams.command()
@click.argument("name")
@url_option
@json_option
def show(name: str, url: str | None, as_json: bool) -> None:
    """Look at one upstream: its configuration without secrets, its server, and what waits for approval."""
    found = _work(url, ("GET", f"/{quote(name, safe='')}"), lambda services: _show(services, name))
    if as_json:
        print_json(found)
        return
    for field in ("name", "title", "origin", "tools", "problem", "read_at"):
        if found[field] is not None:
            click.echo(f"{field}: {found[field]}")
    click.echo(f"state: {_state(found)}")
    for field in ("config", "server"):
        click.echo(f"{field}: {msgspec.json.encode(found[field]).decode()}")
    for left_out in found["left_out"]:
        click.echo(f"left out: {left_out['tool']}: {left_out['reason']}")
    for change in found["changes"]:
        print_waiting(change)


@upstreams.command()
@click.argument("name")
@click.option("--lines", type=click.IntRange(1, 500), default=50, show_default=True)
@url_option
def logs(name: str, lines: int, url: str | None) -> None:
    """Show what an upstream wrote on the server that runs."""

    async def read(services: "Services") -> Any:
        return {"lines": await services.upstreams.logs(name, lines)}

    found = _work(url, ("GET", f"/{quote(name, safe='')}/logs?lines={lines}"), read)
    for line in found["lines"]:
        click.echo(f"{line['at']} {line['source']}: {line['text']}")


@upstreams.command()
@click.argument("name")
@url_option
def refresh(name: str, url: str | None) -> None:
    """Read what an upstream offers now, and bring the catalogue to that."""
    done = _work(
        url, ("POST", f"/{quote(name, safe='')}/refresh"), lambda services: services.upstreams.refresh(name, anew=True)
    )
    parts = [f"{len(done[what])} {what}" for what in ("added", "updated", "shown", "hidden", "pending", "withdrawn")]
    click.echo(f"{name}: {', '.join(parts)}, {done['unchanged']} unchanged")


@upstreams.command()
@click.argument("name")
@click.argument("tools", nargs=-1)
@url_option
def approve(name: str, tools: tuple[str, ...], url: str | None) -> None:
    """Put changed TOOLS in force that wait for approval, or all of them."""

    async def work(services: "Services") -> Any:
        await services.upstreams.get(name)
        source = f"upstream:{name}"
        return {"tools": await services.approvals.approve_source(source, tools or None, local_caller())}

    body = {"tools": list(tools)} if tools else {}
    done = _work(url, ("POST", f"/{quote(name, safe='')}/approve", body), work)
    click.echo(f"{name}: {count(len(done['tools']), 'tool')} approved")


@upstreams.command()
@click.argument("name")
@url_option
def remove(name: str, url: str | None) -> None:
    """Remove an upstream and its tools; the history of calls stays."""
    _work(
        url,
        ("DELETE", f"/{quote(name, safe='')}"),
        lambda services: services.upstreams.delete(name, caller=local_caller()),
    )
    click.echo(f"{name}: removed")


def _define(command: str, text: str, done: str) -> None:
    @upstreams.command(command, help=text)
    @click.argument("name")
    @url_option
    def told(name: str, url: str | None) -> None:
        async def work(services: "Services") -> None:
            if command in {"enable", "disable"}:
                await services.upstreams.set_enabled(name, enabled=command == "enable", caller=local_caller())
                return
            told = await services.upstreams.tell(name, command, caller=local_caller())  # type: ignore[arg-type]
            if command == "upgrade":  # what is installed here is for all processes of this machine
                await services.upstreams.follow(told)

        _work(url, ("POST", f"/{quote(name, safe='')}/{command}"), work)
        click.echo(f"{name}: {done}")


_define("start", "Connect to an upstream on every replica, and forget what went wrong before.", "is started")
_define("stop", "Disconnect from an upstream on every replica; the next call connects again.", "is stopped")
_define("restart", "Disconnect from an upstream on every replica and connect again.", "is started again")
_define("upgrade", "Install the source of an upstream anew, and switch to it where it starts.", "is being upgraded")
_define("enable", "Offer the tools of an upstream.", "enabled")
_define("disable", "Offer the tools of an upstream no more; nothing is lost.", "disabled")


@upstreams.command()
@click.argument("name")
@click.argument("source")
@click.argument("arguments", nargs=-1)
@click.option("--command", metavar="PROGRAM", help="Which of its programs to run, if it has several.")
@click.option("--secret", metavar="NAME", help="The secret that opens a repository: a token, or a private key for ssh.")
@click.option("--yes", is_flag=True, help="Agree that what others have written is installed and run.")
def install(
    name: str, source: str, arguments: tuple[str, ...], command: str | None, secret: str | None, yes: bool
) -> None:
    """Add the upstream NAME, a server that ToolBox installs: SOURCE is a package or a git repository.

    SOURCE is git+https://HOST/PATH[@REF][#subdirectory=FOLDER], git+ssh://..., pypi:PACKAGE[==VERSION] or
    npm:PACKAGE[@VERSION]; ARGUMENTS, behind `--`, are the server's own.
    """
    from toolbox.definitions import Upstream
    from toolbox.upstreams.config import check_upstream
    from toolbox.upstreams.hosts import FoundServers

    try:
        given = {"name": name, "source": source, "command": command, "args": arguments}
        key = {"source_key": f"${{secret:{secret}}}"} if secret else {}
        upstream = msgspec.convert(given | key, Upstream)
        check_upstream(upstream, commands=(), origin="settings")  # before anybody is asked about it
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the upstream cannot be added: {explain(error, Upstream)}") from error
    if not (yes or click.confirm(f"Install and run {source}? Others have written it.", err=True)):
        raise click.Abort
    with local_settings("install") as settings:
        done = asyncio.run(_import(settings, FoundServers([upstream], {})))
    for refused in done["rejected"].values():
        raise InvalidRequest(refused)
    for problem in done["problems"].values():
        raise UpstreamFailed(f"{name} was added, but cannot be used: {problem}")
    more = "its tools are read by the server that runs" if done["is_read_later"] else count(done["tools"][name], "tool")
    click.echo(f"{name}: {done['upstreams'][name]}, {more}")


def import_servers(files: tuple[Path, ...], *, consents: Callable[[str], bool]) -> dict[str, Any]:
    """Add the servers of hosts' files, or of a server.json of the official registry.

    What comes of a server.json, or names a source, installs and runs what others have written: `consents` is asked for
    each.
    """
    from toolbox.upstreams.hosts import FoundServers

    found = FoundServers([], {})
    for file in files:
        read = _read(file, consents)
        found.upstreams.extend(read.upstreams)
        found.rejected.update(read.rejected)
    with local_settings("import") as settings:
        return asyncio.run(_import(settings, found))


def _read(file: Path, consents: Callable[[str], bool]) -> "FoundServers":
    from toolbox.upstreams import jsonc
    from toolbox.upstreams.hosts import FoundServers, read_servers
    from toolbox.upstreams.server_json import is_server_json, read_server_json

    try:
        document = jsonc.read(file.read_text(encoding="utf-8"))
        if not is_server_json(document):
            return _without_unwanted(read_servers(document, file), consents)
        upstream = read_server_json(document)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file}: it cannot be read: {error}") from error
    except InvalidRequest as error:
        raise InvalidRequest(f"{file}: {error.message}") from error
    what = upstream.url or " ".join((upstream.command or "", *upstream.args))
    if upstream.command and not consents(f"Run `{what}`? It installs and runs what others have written."):
        return FoundServers([], {upstream.name: "not wanted"})
    return FoundServers([upstream], {})


def _without_unwanted(found: "FoundServers", consents: Callable[[str], bool]) -> "FoundServers":
    from toolbox.upstreams.hosts import FoundServers

    unwanted = {
        upstream.name: "not wanted"
        for upstream in found.upstreams
        if upstream.source and not consents(f"Install and run {upstream.source}? Others have written it.")
    }
    wanted = [upstream for upstream in found.upstreams if upstream.name not in unwanted]
    return FoundServers(wanted, found.rejected | unwanted)


async def _import(settings: Settings, found: "FoundServers") -> dict[str, Any]:
    has_server = find_server_url() is not None
    async with open_local(settings) as local:
        service: UpstreamService = local.services.upstreams
        done, rejected = dict[str, str](), dict(found.rejected)
        for upstream in found.upstreams:  # one by one, so that a bad one keeps no other out
            try:
                done |= await service.put([upstream], origin="import", caller=local_caller())
            except InvalidRequest as error:
                rejected[upstream.name] = error.message
        problems = (
            {} if has_server else await _refresh_all(service, [name for name in done if done[name] != "unchanged"])
        )
        tools = {name: (await service.get(name)).tools for name in done}
    return {"upstreams": done, "tools": tools, "problems": problems, "rejected": rejected, "is_read_later": has_server}


async def _refresh_all(service: "UpstreamService", names: list[str]) -> dict[str, str]:
    """Read what they offer, as no server is there to do it."""

    async def refresh_one(name: str) -> str | None:
        try:
            if (await service.get(name)).upstream.enabled:
                await service.refresh(name)
        except ToolboxError as error:
            return error.message
        return None

    said = await asyncio.gather(*(refresh_one(name) for name in names))
    return {name: problem for name, problem in zip(names, said, strict=True) if problem}


def _work(url: str | None, request: tuple[Any, ...], here: "Callable[[Services], Awaitable[Any]]") -> Any:
    """Ask the server that runs, or do it here."""
    method, path, *body = request

    async def work(backend: Backend) -> Any:
        if isinstance(backend, Remote):
            return await backend.ask(method, f"/admin/upstreams{path}", body[0] if body else None)
        done = await here(backend.services)  # type: ignore[attr-defined]
        return msgspec.json.decode(msgspec.json.encode(done))

    return run(url, "upstreams", work)


async def _list(services: "Services") -> Any:
    from toolbox.upstreams.schemas import to_summary

    return [to_summary(stored, None) for stored in (await services.upstreams.repository.read_all()).values()]


async def _show(services: "Services", name: str) -> Any:
    from toolbox.upstreams.schemas import to_detail

    stored = await services.upstreams.get(name)
    return to_detail(stored, None, await services.approvals.list_waiting(f"upstream:{name}"))


def _state(found: dict[str, Any]) -> str:
    if not found["enabled"]:
        return "disabled"
    return found["here"]["state"] if found["here"] else "not running"
