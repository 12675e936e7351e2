"""`toolbox import --openapi`: an API's operations as tools."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import msgspec

from toolbox.cli.backend import local_caller, local_settings, open_local
from toolbox.cli.imports import httpx
from toolbox.cli.output import print_json
from toolbox.errors import InvalidRequest
from toolbox.settings import Settings

if TYPE_CHECKING:  # loaded where it is used: --help needs no database driver
    from toolbox.tools.openapi_import import OpenApiReport

FETCH_SECONDS = 60


def import_api(place: str, source: str | None, server: str | None, *, as_json: bool) -> None:
    """Import the document at a URL or in a file, and say what came of it."""
    is_url = place.startswith(("http://", "https://"))
    content = _fetch(place) if is_url else _read(Path(place))
    name = source or _name_source(urlsplit(place).path if is_url else place) or urlsplit(place).hostname or "api"
    with local_settings("import") as settings:
        report = asyncio.run(_import(settings, content, name, place if is_url else None, server))
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        _print(report)
    if report.skipped:
        sys.exit(1)


async def _import(
    settings: Settings, content: bytes, source: str, base_url: str | None, server: str | None
) -> "OpenApiReport":
    from toolbox.tools.openapi_import import import_openapi
    from toolbox.tools.sync import embed_missing

    async with open_local(settings) as local:
        services = local.services
        report = await import_openapi(
            services.database,
            services.kinds,
            content,
            source=source,
            base_url=base_url,
            server=server,
            caller=local_caller(),
        )
        if services.embed:
            await embed_missing(services.database, *services.embed)
        return report


def _fetch(url: str) -> bytes:
    from toolbox.tools.openapi_documents import MAX_DOCUMENT_BYTES

    content = b""
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=FETCH_SECONDS) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_DOCUMENT_BYTES:
                    raise InvalidRequest(f"{url} is longer than {MAX_DOCUMENT_BYTES:,} bytes")
    except httpx.HTTPError as error:
        raise InvalidRequest(f"{url} cannot be read: {error}") from error
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error


def _name_source(path: str) -> str:
    """A document that is called as all are, `openapi.json`, is named after its folder."""
    name = Path(path)
    return name.parent.name if name.stem in {"openapi", "swagger", "api", "index"} else name.stem


def _print(report: "OpenApiReport") -> None:
    click.echo(
        f"{report.source}: {len(report.added)} added, {len(report.updated)} updated, {report.unchanged} unchanged, "
        f"{len(report.hidden)} hidden, {len(report.skipped)} left out"
    )
    for operation in report.skipped:
        click.echo(f"  {operation.id} left out: {operation.reason}", err=True)
    if report.secrets:
        click.echo("The tools need secrets; set those that are missing:")
        for secret in report.secrets:
            click.echo(f"  toolbox secrets set {secret}")
