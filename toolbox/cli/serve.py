"""`toolbox serve`: runs the server, and says at the start what there is."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvicorn
from msgspec import structs
from uvicorn.supervisors import ChangeReload, Multiprocess

from toolbox.cli.report import print_report
from toolbox.embedded.owner import default_data_dir, run_postgres
from toolbox.errors import SettingsError
from toolbox.settings import Secret, Settings, read_settings, refuse_exposure
from toolbox.telemetry import configure_logging

if TYPE_CHECKING:
    from litestar.types import ASGIApp

DRAIN_SECONDS = 20


@click.command()
@click.option("--host", help="Address to listen on (HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one (PORT).")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes (WORKERS).")
@click.option(
    "--reload", is_flag=True, help="Start again when Python files below this folder change, for plugin authors."
)
def serve(host: str | None, port: int | None, workers: int | None, reload: bool) -> None:
    """Serve MCP and REST.

    Without DATABASE_URL, ToolBox runs a PostgreSQL of its own as long as the server runs.
    """
    settings = read_settings(os.environ, host=host, port=port, workers=workers)
    refuse_exposure(settings)
    configure_logging(settings)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listen(settings))
        url = f"http://{_display_host(settings.host)}:{listening.getsockname()[1]}"
        settings = stack.enter_context(_with_database(settings, url))
        reporter = threading.Thread(target=print_report, args=(url, settings), daemon=True)
        reporter.start()
        _run(settings, listening, reload=reload)


def create_worker_app() -> "ASGIApp":
    """The application of a worker process, whose environment its parent has completed."""
    settings = read_settings(os.environ)
    configure_logging(settings)
    return _create_app(settings)


def _create_app(settings: Settings) -> "ASGIApp":
    with _hidden("advanced_alchemy"):
        from toolbox.app import create_app
    return create_app(settings)


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let a package look as if it was not installed.

    Litestar, while it is imported, takes a type for pagination out of Advanced Alchemy where there is one. We do not
    use it, and it loads all of SQLAlchemy: a second at each start that only migrations need.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


@contextlib.contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything is started, so that a taken one is said at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on HOST={settings.host} PORT={settings.port}: {error.strerror or error}; "
                "stop what listens there, or choose another PORT (0 takes a free one)"
            ) from error
        listening.set_inheritable(True)
        yield listening


@contextlib.contextmanager
def _with_database(settings: Settings, url: str) -> Iterator[Settings]:
    if settings.database_url is not None:
        yield settings
        return
    data_dir = settings.data_dir or default_data_dir()
    with run_postgres(data_dir, command="serve", server_url=url) as database_url:
        yield structs.replace(settings, database_url=Secret(database_url), data_dir=data_dir)


def _run(settings: Settings, listening: socket.socket, *, reload: bool) -> None:
    is_alone = settings.workers == 1 and not reload
    config = uvicorn.Config(
        _create_app(settings) if is_alone else "toolbox.cli.serve:create_worker_app",
        factory=not is_alone,
        workers=settings.workers,
        reload=reload,
        reload_dirs=[str(Path.cwd())] if reload else None,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    if is_alone:
        server.run(sockets=[listening])
        return
    _complete_environment(settings)
    if reload:
        ChangeReload(config, target=server.run, sockets=[listening]).run()
    else:
        Multiprocess(config, sockets=[listening]).run()


def _complete_environment(settings: Settings) -> None:
    """Worker processes read their settings from the environment as well: what was decided here goes there."""
    assert settings.database_url is not None  # noqa: S101 - serve has set it
    os.environ |= {"DATABASE_URL": settings.database_url.reveal(), "HOST": settings.host}


def _display_host(host: str) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only shown
    return f"[{shown}]" if ":" in shown else shown
