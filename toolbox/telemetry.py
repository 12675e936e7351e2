"""Logging: one structured line per event on standard error, for people on a terminal and as JSON elsewhere.

Tracebacks are written without the values of local variables: these hold the arguments of callers and secrets of tools.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from structlog.typing import Processor

from toolbox.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send our log lines and those of libraries through one format; call once per process."""
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[settings.log_level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_to_json)] if is_json else [_console()]
    )
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))  # what libraries have to say below a warning is about themselves


def _to_json(entry: Mapping[str, Any], default: Callable[[Any], Any]) -> str:
    """A line for each request is written so: the standard library takes four times as long."""
    try:
        return msgspec.json.encode(entry, enc_hook=default).decode()
    except (UnicodeEncodeError, TypeError):  # what is no Unicode, or has keys of any kind
        return json.dumps(entry, default=default)


def keep_locals_out() -> None:
    """Where nobody has configured logging: leave structlog as it comes, but for its tracebacks, which show locals."""
    if not structlog.is_configured():
        *processors, _renderer = structlog.get_config()["processors"]
        structlog.configure(processors=[*processors, _console()])


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
