"""`toolbox keys`: who may call."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from toolbox.auth.callers import Caller
from toolbox.auth.schemas import MAX_OVERLAP_SECONDS, IssuedKey, Key, NewKey, Rotation
from toolbox.auth.scopes import ALL, SCOPES
from toolbox.cli.backend import ask_server, local_caller, local_settings, open_local_database
from toolbox.cli.output import json_option, print_json, print_table, url_option
from toolbox.errors import InvalidRequest
from toolbox.plain_words import explain
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where it is used: --help needs no database driver
    from toolbox.auth.service import KeyService

T = TypeVar("T")


@click.group()
def keys() -> None:
    """Issue, list, rotate and revoke keys. A server that runs hears of it at once."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(SCOPES)),
    help="What it may do; again for more. Without: tools:read and tools:call.",
)
@click.option("--admin", is_flag=True, help="Every scope.")
@click.option("--toolset", "toolsets", multiple=True, help="Only the tools of this toolset; again for more.")
@click.option("--days", type=click.IntRange(min=1), help="When it expires; without: never.")
@url_option
@json_option
def create(
    name: str,
    scopes: tuple[str, ...],
    admin: bool,
    toolsets: tuple[str, ...],
    days: int | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Issue a key. Its secret is printed this once, and cannot be read again."""
    wanted = {
        "name": name,
        "scopes": sorted(ALL) if admin else scopes or NewKey.__struct_defaults__[0],
        "toolsets": toolsets or None,
        "expires_at": datetime.now(UTC) + timedelta(days=days) if days else None,
    }
    try:
        new = msgspec.convert(wanted, NewKey)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the key {name!r} cannot be issued: {explain(error, NewKey)}") from error
    if url:
        _show(_ask(url, "POST", "/admin/keys", IssuedKey, new), as_json)
    else:
        issued, is_first = _work(lambda service, caller: _issue(service, new, caller))
        _show(issued, as_json)
        if is_first:
            click.echo("It is the first key: callers without one are refused now, but for ALLOW_ANONYMOUS.", err=True)


@keys.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """List keys, revoked ones too."""
    if url:
        found = _ask(url, "GET", "/admin/keys?limit=1000", list[Key])
    else:
        found = _work(lambda service, _: service.repository.list_keys())
    if as_json:
        print_json(found)
        return
    rows = [(key.name, _state(key), ", ".join(key.scopes), ", ".join(key.toolsets or ["all"])) for key in found]
    print_table(("name", "state", "scopes", "toolsets"), rows, caption=None if rows else "no keys yet")


@keys.command()
@click.argument("name")
@click.option(
    "--overlap",
    "overlap_seconds",
    type=click.IntRange(0, MAX_OVERLAP_SECONDS),
    default=86400,
    show_default=True,
    help="Seconds for which the old secret still works.",
)
@url_option
@json_option
def rotate(name: str, overlap_seconds: int, url: str | None, as_json: bool) -> None:
    """Give a key a new secret, printed this once; its caller stays the same."""
    if url:
        wanted = Rotation(overlap_seconds=overlap_seconds)
        _show(_ask(url, "POST", f"{_path(name)}/rotate", IssuedKey, wanted), as_json)
        return
    _show(_work(lambda service, caller: service.rotate(name, overlap_seconds, caller)), as_json)


@keys.command()
@click.argument("name")
@url_option
def revoke(name: str, url: str | None) -> None:
    """Let a key work no more, at once."""
    if url:
        _ask(url, "DELETE", _path(name), None)
    else:
        _work(lambda service, caller: service.revoke(name, caller))
    click.echo(f"{name}: revoked")


def _path(name: str) -> str:
    return f"/admin/keys/{quote(name, safe='')}"


def _ask(url: str, method: str, path: str, kind: Any, body: Any = None) -> Any:
    """What a server answers, as the struct that it is."""
    answer = asyncio.run(ask_server(url, lambda server: server.ask(method, path, body)))
    return msgspec.convert(answer, kind)


def _work(work: "Callable[[KeyService, Caller], Awaitable[T]]") -> T:
    with local_settings("keys") as settings:
        return asyncio.run(_work_on(settings, work))


async def _work_on(settings: Settings, work: "Callable[[KeyService, Caller], Awaitable[T]]") -> T:
    from toolbox.auth.key_secrets import KeyDigests
    from toolbox.auth.service import KeyService
    from toolbox.seals import load_secrets

    async with open_local_database(settings) as database:
        digests = KeyDigests(*await load_secrets(database, settings.secret_key))
        return await work(KeyService(database, digests), Caller(local_caller(), ALL))


async def _issue(service: "KeyService", new: NewKey, caller: Caller) -> tuple[IssuedKey, bool]:
    """A new key, and whether it is the first that was ever made: that one closes an open server."""
    issued = await service.issue(new, caller)
    return issued, len(await service.repository.list_keys()) == 1


def _show(issued: IssuedKey, as_json: bool) -> None:
    if as_json:
        print_json(issued)
        return
    click.echo(issued.secret)
    click.echo(
        f"This is the secret of {issued.key.name}, shown this once. Callers send it as `Authorization: Bearer ...`.",
        err=True,
    )


def _state(key: Key) -> str:
    if key.revoked_at:
        return "revoked"
    if key.expires_at and key.expires_at <= datetime.now(UTC):
        return "expired"
    until = f", until {key.expires_at:%Y-%m-%d}" if key.expires_at else ""
    return f"{' and '.join(f'...{ending}' for ending in key.endings)}{until}"
