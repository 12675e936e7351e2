"""Commands for the database's schema."""

import asyncio

import click

from toolbox.cli.backend import local_settings
from toolbox.cli.output import json_option, print_json
from toolbox.database import migrate, revisions
from toolbox.settings import Settings


@click.group()
def db() -> None:
    """Look after the database's schema. The server brings it up to date when it starts."""


@db.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the schema to a revision, the newest one by default."""
    with local_settings("db") as settings:
        click.echo(f"the schema is at {asyncio.run(migrate(_url(settings), target=revision))}")


@db.command()
@click.argument("revision")
@click.confirmation_option(prompt="Going back drops tables and what is in them. Go on?")
def downgrade(revision: str) -> None:
    """Bring the schema back to an earlier revision, or to "base" for none at all."""
    with local_settings("db") as settings:
        reached = asyncio.run(migrate(_url(settings), target=revision, downgrade=True))
        click.echo(f"the schema is at {reached or 'base'}")


@db.command()
@json_option
def status(as_json: bool) -> None:
    """Say at which revision the schema is, and which is the newest."""
    with local_settings("db") as settings:
        current, newest = asyncio.run(revisions(_url(settings)))
    if as_json:
        print_json({"current": current or None, "newest": newest, "is_current": current == newest})
    else:
        click.echo(f"the schema is at {current or 'base'}; the newest is {newest}")


def _url(settings: Settings) -> str:
    assert settings.database_url is not None  # noqa: S101 - local_settings has set it
    return settings.database_url.reveal()
