"""Commands for secrets: values that tools and upstreams need, named as `${secret:name}`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from toolbox.cli.backend import local_caller, local_settings, open_local_database
from toolbox.cli.output import count, json_option, print_json, print_table
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
def set_(name: str) -> None:
    """Keep a value under a name. It is asked for, or read from standard input; never from the command line."""
    if sys.stdin.isatty():
        value = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt=True)
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    own, toolset = _split(name)
    is_new = _run(lambda store: store.set_secret(own, value, toolset=toolset, caller=local_caller()))
    click.echo(f"{name}: {'created' if is_new else 'replaced'}; it is named as ${{secret:{own}}}")


@secrets.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the names of secrets; values are never shown."""
    from toolbox.secrets.store import own_name

    found = _run(lambda store: store.list_secrets())
    if as_json:
        print_json(found)
        return
    rows = [
        (
            own_name(secret.name, secret.toolset),
            secret.updated_at.isoformat(" ", "seconds"),
            "an earlier one" if secret.needs_rotation else "",
        )
        for secret in found
    ]
    print_table(("name", "set at", "key"), rows, caption=None if rows else "no secrets yet")


@secrets.command()
@click.argument("name")
def delete(name: str) -> None:
    """Forget a secret; what refers to it fails from now on."""
    own, toolset = _split(name)
    _run(lambda store: store.delete_secret(own, toolset=toolset, caller=local_caller()))
    click.echo(f"{name}: deleted")


@secrets.command()
def rotate() -> None:
    """Seal with the first key of SECRET_KEY whatever an earlier one has sealed.

    To change the key: put the new one before the old one, with a comma between them, and start all servers again; run
    this; then take the old one out.
    """
    done = _run(lambda store: store.rotate(caller=local_caller()))
    click.echo(f"{count(done, 'secret')} sealed anew")


def _split(given: str) -> tuple[str, str | None]:
    """The name, and whose own it is: TOOLSET/NAME, or NAME alone."""
    toolset, _, name = given.rpartition("/")
    return name, toolset or None


def _run(work: "Callable[[SecretStore], Awaitable[T]]") -> T:
    with local_settings("secrets") as settings:
        return asyncio.run(_work(settings, work))


async def _work(settings: Settings, work: "Callable[[SecretStore], Awaitable[T]]") -> T:
    from toolbox.secrets.store import SecretStore
    from toolbox.secrets.vault import Vault

    async with open_local_database(settings) as database:
        return await work(SecretStore(database, Vault(settings.secret_keys) if settings.secret_keys else None))
