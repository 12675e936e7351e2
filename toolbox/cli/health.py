"""`toolbox health`: whether the server of this machine, or container, is ready; for whatever watches it."""

import os
import ssl
import urllib.error
import urllib.request

import click

from toolbox.cli.output import url_option
from toolbox.errors import ToolboxError
from toolbox.settings import read_settings

ANSWER_SECONDS = 4.0


@click.command()
@url_option
def health(url: str | None) -> None:
    """Exit with 0 if the server is ready for requests, else with 1, saying why.

    Asked is the server that HOST and PORT name on this machine, with its own certificate if SSL_CERT_PATH is set.
    """
    own = None if url else _own_url()
    try:
        with urllib.request.build_opener(*_handlers(own)).open(f"{own or url}/health/ready", timeout=ANSWER_SECONDS):
            click.echo("ready")
    except urllib.error.HTTPError as error:
        raise ToolboxError(f"{own or url} is not ready: {error.read(1000).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise ToolboxError(f"{own or url} does not answer: {getattr(error, 'reason', error)}") from error


def _own_url() -> str:
    settings = read_settings(os.environ)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - looked for only
    return f"{'https' if settings.ssl_cert_path else 'http'}://{host}:{settings.port}"


def _handlers(own: str | None) -> list[urllib.request.BaseHandler]:
    """No proxy leads back to this machine, and the certificate has the name that others use."""
    if own is None:
        return []
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
