"""`toolbox serve`: runs the server, and says at the start what there is."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import uvicorn
from msgspec import structs
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from toolbox.certificates import ServerCertificate, load_certificate
from toolbox.cli.imports import hidden
from toolbox.cli.report import make_report_key, print_report, read_report_key
from toolbox.embedded.owner import default_data_dir, run_postgres
from toolbox.embedded.secret_key import ensure_secret_key
from toolbox.errors import SettingsError
from toolbox.logs import REQUEST_LINES, configure_logging
from toolbox.memory import settle
from toolbox.settings import Secret, Settings, read_settings, refuse_contradictions
from toolbox.telemetry import configure_tracing, stop_tracing

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

    from toolbox.middleware import RequestLog

DRAIN_SECONDS = 15
"""How long requests may take when no more are taken; before that, OPEN_SECONDS of toolbox.app."""
INTERRUPTED = 130
"""The status of a command that Ctrl-C has ended, as shells have it."""


@click.command()
@click.option("--host", help="Address to listen on (HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one (PORT).")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes (WORKERS).")
@click.option(
    "--reload",
    is_flag=True,
    help="Start again when Python files of a plugin that is installed as editable, or below this folder, change.",
)
def serve(host: str | None, port: int | None, workers: int | None, reload: bool) -> None:
    """Serve MCP and REST.

    Without DATABASE_URL, ToolBox runs a PostgreSQL of its own as long as the server runs.
    """
    settings = read_settings(os.environ, host=host, port=port, workers=workers)
    refuse_contradictions(settings)
    make_report_key()
    configure_logging(settings)
    _check_certificate(settings)
    status = 0
    try:
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(_listen(settings))
            url = f"{'https' if settings.ssl_cert_path else 'http'}://{_display_host(settings.host)}:{listening.getsockname()[1]}"
            settings = stack.enter_context(_with_database(settings, url))
            reporter = threading.Thread(target=print_report, args=(url, settings), daemon=True)
            reporter.start()
            _run(settings, listening, url, reload=reload)
    except KeyboardInterrupt:
        status = INTERRUPTED
    _end(status)


def _survive_goodbye() -> None:
    """A server that has ended because of a signal sends it to itself once more, and would die of it here."""
    signal.signal(signal.SIGTERM, lambda *_: None)


def _end(status: int) -> None:
    """End without the tools that still run in threads, which nothing can stop; all else is closed by now."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        REQUEST_LINES.flush()
        stop_tracing()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def create_worker_app() -> "ASGIApp":
    """The application of a worker process, whose environment its parent has completed."""
    settings = read_settings(os.environ)
    configure_logging(settings)
    configure_tracing(os.environ)
    app = _create_app(settings)
    logging.getLogger("uvicorn.error").addFilter(lambda _: app.why_not_started() is None)

    async def explained(scope: "Scope", receive: "Receive", send: "Send") -> None:
        try:
            await app(scope, receive, send)
        finally:
            if refusal := app.why_not_started():  # then there are no requests: this is the start
                click.echo(f"Error: {refusal.message}", err=True)
            if cast("str", scope["type"]) == "lifespan":  # the process ends by a signal, and says no more
                REQUEST_LINES.flush()
                stop_tracing()

    return explained


def _create_app(settings: Settings) -> "RequestLog":
    # Litestar, while it is imported, takes a type for pagination out of Advanced Alchemy where there is one. We do not
    # use it, and it loads all of SQLAlchemy: a second at each start that only migrations need.
    with hidden("advanced_alchemy"):
        from toolbox.app import create_app
    return create_app(settings, report_key=read_report_key(), on_started=settle)


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
        secret_key = settings.secret_key or Secret(ensure_secret_key(data_dir).read_text())
        yield structs.replace(settings, database_url=Secret(database_url), data_dir=data_dir, secret_key=secret_key)


def _run(settings: Settings, listening: socket.socket, url: str, *, reload: bool) -> None:
    if settings.workers == 1 and not reload:
        _run_alone(settings, listening)
        return
    _complete_environment(settings)
    config = _configure("toolbox.cli.serve:create_worker_app", settings, workers=settings.workers, factory=True)
    if reload:
        from toolbox.cli.reloading import Reload  # loads plugins' machinery, which --help needs none of

        Reload(config, listening, url, settings).run()
        return
    from toolbox.metrics import shared_folder  # slow to load, as above

    with shared_folder(), _quiet(lambda record: "failed to start" in record.getMessage()):  # the worker has said why
        workers = _Workers(config, sockets=[listening])
        workers.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in workers.processes):
        sys.exit(1)


class _Workers(Multiprocess):
    """Worker processes; told to reload, they do so themselves, and what they are doing goes on."""

    def handle_hup(self) -> None:
        for worker in self.processes:
            if worker.pid is not None and worker.process.is_alive():
                os.kill(worker.pid, signal.SIGHUP)


def _run_alone(settings: Settings, listening: socket.socket) -> None:
    configure_tracing(os.environ)
    app = _create_app(settings)
    _survive_goodbye()
    try:
        with _quiet(lambda _: app.why_not_started() is not None):
            uvicorn.Server(_configure(app, settings)).run(sockets=[listening])
    except SystemExit as stop:
        refusal = app.why_not_started()
        if refusal is None:
            raise
        raise refusal from stop


def _configure(app: "ASGIApp | str", settings: Settings, **options: Any) -> uvicorn.Config:
    if settings.ssl_cert_path and settings.ssl_key_path:
        options["ssl_context_factory"] = partial(_make_context, settings.ssl_cert_path, settings.ssl_key_path)
    return uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # whom to believe is for TRUSTED_PROXIES to say
        http=_guarded_protocol(),
        ws="none",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        **options,
    )


def _guarded_protocol() -> Any:
    """Windows has no httptools; what serves there limits heads by itself, and nobody serves others from there."""
    if importlib.util.find_spec("httptools") is None:
        return "auto"
    from toolbox.connections import GuardedProtocol  # loads metrics, which --help needs none of

    return GuardedProtocol


def _make_context(certificate: Path, key: Path, *_: Any) -> ssl.SSLContext:
    """Made in each server process, from its own look at the files."""
    return ServerCertificate(certificate, key).context


def _check_certificate(settings: Settings) -> None:
    """Refuse what cannot be served before anything is started."""
    certificate, key = settings.ssl_cert_path, settings.ssl_key_path
    if certificate and key:
        load_certificate(certificate, key)
    elif certificate or key:
        given, missing = ("SSL_CERT_PATH", "SSL_KEY_PATH") if certificate else ("SSL_KEY_PATH", "SSL_CERT_PATH")
        raise SettingsError(f"{given} is set and {missing} is not: HTTPS needs both")


@contextlib.contextmanager
def _quiet(is_superfluous: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Keep back what uvicorn says of a start that was refused: the reason is said by ourselves, in one sentence."""
    logger = logging.getLogger("uvicorn.error")

    def passes(record: logging.LogRecord) -> bool:
        return not is_superfluous(record)

    logger.addFilter(passes)
    try:
        yield
    finally:
        logger.removeFilter(passes)


def _complete_environment(settings: Settings) -> None:
    """Worker processes read their settings from the environment as well: what was decided here goes there."""
    assert settings.database_url is not None  # noqa: S101 - serve has set it
    os.environ |= {"DATABASE_URL": settings.database_url.reveal(), "HOST": settings.host}
    if settings.secret_key is not None:
        os.environ["SECRET_KEY"] = settings.secret_key.reveal()


def _display_host(host: str) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only shown
    return f"[{shown}]" if ":" in shown else shown
