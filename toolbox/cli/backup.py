"""Commands that bring the database into a file, and back."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from toolbox.backup.archive import End, Manifest, Reader
from toolbox.backup.dump import fingerprints, write_backup
from toolbox.backup.restore import restore_backup
from toolbox.cli.backend import local_settings
from toolbox.cli.output import count
from toolbox.errors import InvalidRequest
from toolbox.settings import Settings


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--without-history", is_flag=True, help="Leave out calls, their results, and searches.")
def backup(file: Path, without_history: bool) -> None:
    """Write all that the database holds to FILE, or to standard output with "-", as it is at one moment.

    Servers go on meanwhile. Secrets are in it as they are stored, encrypted with SECRET_KEY, which is not in it: keep
    both, at two places. Work that waits or runs is left out.
    """
    with local_settings("backup") as settings, _written(file) as target:
        keys = settings.secret_keys
        end = asyncio.run(write_backup(_url(settings), target, with_history=not without_history, secret_keys=keys))
    size = "" if str(file) == "-" else f" in {file.stat().st_size / 1e6:.1f} MB"
    click.echo(f"{file}: {_describe(end)}{size}", err=True)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--replace", is_flag=True, help="Give up what the database holds now.")
@click.option("--check", is_flag=True, help="Only read FILE to its end, and say what is in it.")
def restore(file: Path, replace: bool, check: bool) -> None:
    """Make the database hold what the backup in FILE holds; "-" reads standard input.

    The database may be empty, or have the schema of another version; its servers must be stopped. All of it is one
    transaction: a file that is wrong or damaged leaves the database as it was.
    """
    with _read(file) as source:
        reader = Reader(source)
        if check:
            _read_through(reader)
            click.echo(f"{file}: {_introduce(reader.manifest)}; {_describe(reader.check())}")
            return
        with local_settings("restore") as settings:
            end = asyncio.run(restore_backup(_url(settings), reader, replace=replace))
            _warn_of_key(reader.manifest, settings)
    click.echo(f"restored {_introduce(reader.manifest)}: {_describe(end)}", err=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there when it is whole, and that nobody else may read."""
    if str(path) == "-":
        if sys.stdout.isatty():
            raise click.UsageError("a backup is not for terminals: redirect standard output.")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _read(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def _read_through(reader: Reader) -> None:
    for _, parts in reader.tables():
        for _ in parts:
            pass


def _introduce(manifest: Manifest) -> str:
    history = "with history" if manifest.has_history else "without history"
    return f"the backup of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, schema {manifest.revision}, {history}"


def _describe(end: End) -> str:
    rows = sum(content.rows for content in end.tables.values())
    tools = end.tables["tools"].rows if "tools" in end.tables else 0
    return f"{count(tools, 'tool')}, {count(rows, 'row')} of {count(len(end.tables), 'table')}"


def _warn_of_key(manifest: Manifest, settings: Settings) -> None:
    if not set(manifest.key_fingerprints) <= set(fingerprints(settings.secret_keys)):
        click.echo(
            "SECRET_KEY is not the one of the backup: its keys and secrets cannot be used without that "
            "(SECRET_KEY=new,old opens both; the embedded PostgreSQL has its own in DATA_DIR/secret_key)",
            err=True,
        )


def _url(settings: Settings) -> str:
    assert settings.database_url is not None  # noqa: S101 - local_settings has set it
    return settings.database_url.reveal()
