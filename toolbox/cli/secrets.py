"""Commands for secrets: values that tools and upstreams need, named as `${secret:name}`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import click
from msgspec import to_builtins

from toolbox.cli.backend import ask_server, local_caller, local_settings, open_local_database
from toolbox.cli.output import count, json_option, print_json, print_table, url_option
from toolbox.cli.toolsets import no_such_toolset
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where it is used: --help needs no database driver
    from toolbox.secrets.store import SecretStore

T = TypeVar("T")


@click.group()
def secrets() -> None:
    """Look after secrets: values that tools and upstreams need, and that nobody is shown again.

    They are named as ${secret:NAME} where they are needed, and kept sealed with SECRET_KEY. TOOLSET/NAME is a toolset's
    own, which takes the place of NAME in calls through that toolset.
    """


@secrets.command("set")
@click.argument("name")
@url_option
def set_(name: str, url: str | None) -> None:
    """Keep a value under a name. It is asked for, or read from standard input; never from the command line."""
    if sys.stdin.isatty():
        value = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True)
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    toolset, own = _split(name)
    if url:
        _ask(url, "PUT", _path(name), {"value": value})
        said = "set"
    else:
        is_new = _run(lambda store: store.set_secret(own, value, toolset=toolset, caller=local_caller()), toolset)
        said = "created" if is_new else "replaced"
    click.echo(f"{name}: {said}; it is named as ${{secret:{own}}}")


@secrets.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """List the names of secrets; values are never shown."""
    found = _ask(url, "GET", "/admin/secrets") if url else to_builtins(_run(lambda store: store.list_secrets()))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            "/".join(part for part in (secret["toolset"], secret["name"]) if part),
            secret["updated_at"],
            "an earlier one" if secret["needs_rotation"] else "",
        )
        for secret in found
    ]
    print_table(("name", "set at", "key"), rows, caption=None if rows else "no secrets yet")


@secrets.command()
@click.argument("name")
@url_option
def delete(name: str, url: str | None) -> None:
    """Forget a secret; what refers to it fails from now on."""
    toolset, own = _split(name)
    if url:
        _ask(url, "DELETE", _path(name))
    else:
        _run(lambda store: store.delete_secret(own, toolset=toolset, caller=local_caller()), toolset)
    click.echo(f"{name}: deleted")


@secrets.command()
@url_option
def rotate(url: str | None) -> None:
    """Seal with the first key of SECRET_KEY whatever an earlier one has sealed.

    To change the key: put the new one before the old one, with a comma between them, and start all servers again; run
    this; then take the old one out.
    """
    if url:
        done = _ask(url, "POST", "/admin/secrets/rotate")["secrets"]
    else:
        done = _run(lambda store: store.rotate(caller=local_caller()))
    click.echo(f"{count(done, 'secret')} sealed anew")


def _split(given: str) -> tuple[str | None, str]:
    """Whose own it is, and its name: TOOLSET/NAME, or NAME alone."""
    toolset, _, name = given.rpartition("/")
    return toolset or None, name


def _path(given: str) -> str:
    toolset, name = _split(given)
    of_toolset = f"/toolsets/{quote(toolset, safe='')}" if toolset else ""
    return f"/admin{of_toolset}/secrets/{quote(name, safe='')}"


def _ask(url: str, method: str, path: str, body: Any = None) -> Any:
    return asyncio.run(ask_server(url, lambda server: server.ask(method, path, body)))


def _run(work: "Callable[[SecretStore], Awaitable[T]]", toolset: str | None = None) -> T:
    with local_settings("secrets") as settings:
        return asyncio.run(_work(settings, work, toolset))


async def _work(settings: Settings, work: "Callable[[SecretStore], Awaitable[T]]", toolset: str | None) -> T:
    """What comes of some work on the secrets, or on those of a toolset, which has to be there."""
    from toolbox.secrets.store import SecretStore
    from toolbox.secrets.vault import Vault
    from toolbox.toolsets.repository import ToolsetRepository

    async with open_local_database(settings) as database:
        if toolset is not None and await ToolsetRepository(database).get_toolset(toolset) is None:
            raise no_such_toolset(toolset)
        return await work(SecretStore(database, Vault(settings.secret_keys) if settings.secret_keys else None))
