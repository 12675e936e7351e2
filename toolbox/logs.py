"""Logging: one structured line per event on standard error, for people on a terminal and as JSON elsewhere.

Each line says for which request it was written, and for which trace. Neither arguments nor bodies are logged, and
tracebacks are written without the values of local variables: these hold the arguments of callers and secrets of tools.

Lines for requests are the most of all lines, so they are written together, a few times a second; a line of another kind
brings them along, so the order stays. What is left is written when the process ends (not when it is killed).
"""

import atexit
import json
import logging
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from msgspec import Struct
from structlog.typing import Processor

from toolbox.request_context import REQUEST
from toolbox.settings import Settings
from toolbox.telemetry import current_ids

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

LINGER_SECONDS = 0.1
"""How long a line for a request may wait for others."""
MAX_WAITING = 500
"""Lines that are written at once, whenever there are so many."""


def configure_logging(settings: Settings) -> None:
    """Send our log lines and those of libraries through one format; call once per process."""
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        _drop_below_level,
        structlog.contextvars.merge_contextvars,
        _add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_to_json)] if is_json else [_console()]
    )
    structlog.configure(
        processors=[*shared, *renderers],
        # The level is looked up line by line: it can change while the process runs.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _InOrder(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_InOrder(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared[1:],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.getLogger().handlers = [handler]
    set_level(settings.log_level)
    if is_json:
        REQUEST_LINES.begin(sys.stderr)


def set_level(level: Level) -> None:
    """Write no line below this level from now on, in this process."""
    number = logging.getLevelNamesMapping()[level]
    _level.number = number
    # What libraries have to say below a warning is about themselves.
    logging.getLogger().setLevel(max(number, logging.WARNING))


def get_level() -> Level:
    """The least severe level that is written now."""
    return cast("Level", logging.getLevelName(_level.number))


def is_written(level: int) -> bool:
    """Whether lines of a level (logging.INFO and so on) are written now."""
    return level >= _level.number


class _Level:
    number = logging.NOTSET


_level = _Level()


def _drop_below_level(_logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    severity = "ERROR" if name == "exception" else name.upper()
    if logging.getLevelNamesMapping().get(severity, logging.CRITICAL) < _level.number:
        raise structlog.DropEvent
    return event


def _add_request(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    facts = REQUEST.get()
    if facts:
        event.setdefault("request_id", facts.request_id)
        if facts.caller:
            event.setdefault("caller", facts.caller)
        if facts.tool:
            event.setdefault("tool", facts.tool)
    if ids := current_ids():
        event["trace_id"], event["span_id"] = ids
    return event


class RequestLine(Struct, omit_defaults=True):
    """What is logged of a request when it has been answered."""

    method: str
    path: str
    status: int
    ms: float
    request_id: str
    at: float
    """Seconds since 1970, until it is written."""
    level: str = "info"
    caller: str | None = None
    mcp_method: str | None = None
    tool: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


class _WrittenLine(Struct, omit_defaults=True):
    """A line as it is read: the members that all lines have come first, here as there."""

    event: str
    timestamp: datetime
    level: str
    method: str
    path: str
    status: int
    ms: float
    request_id: str
    caller: str | None = None
    mcp_method: str | None = None
    tool: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


class RequestLines:
    """The lines that are yet to be written, where lines are JSON; elsewhere each is written as any other."""

    def __init__(self) -> None:
        self._stream: TextIO | None = None
        self._waiting = list[RequestLine]()
        self._is_timed = False
        self._encoder = msgspec.json.Encoder()

    def begin(self, stream: TextIO) -> None:
        """Write JSON from now on, and what is left when the process ends."""
        self._stream = stream
        atexit.register(self.flush)

    def add(self, line: RequestLine, loop: AbstractEventLoop) -> None:
        """Have a line written soon."""
        if self._stream is None:
            _write_singly(line)
            return
        self._waiting.append(line)
        if len(self._waiting) >= MAX_WAITING:
            self.flush()
        elif not self._is_timed:
            self._is_timed = True
            loop.call_later(LINGER_SECONDS, self._flush_in_time)

    def flush(self) -> None:
        """Write what there is, now."""
        if not self._waiting or self._stream is None:
            return
        lines, self._waiting = self._waiting, []
        try:
            written = self._encoder.encode_lines([_to_written(line) for line in lines]).decode()
        except UnicodeEncodeError:  # what is no Unicode
            written = "".join(_to_json(_to_mapping(line), str) + "\n" for line in lines)
        self._stream.write(written)
        self._stream.flush()

    def _flush_in_time(self) -> None:
        self._is_timed = False
        self.flush()


REQUEST_LINES = RequestLines()


class _InOrder:
    """A stream for all other lines, which brings along those that wait."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        REQUEST_LINES.flush()
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


def _to_written(line: RequestLine) -> _WrittenLine:
    return _WrittenLine(
        "request",
        datetime.fromtimestamp(line.at, UTC),
        line.level,
        line.method,
        line.path,
        line.status,
        line.ms,
        line.request_id,
        line.caller,
        line.mcp_method,
        line.tool,
        line.trace_id,
        line.span_id,
    )


def _to_mapping(line: RequestLine) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(_to_written(line)).items() if value is not None}


def _write_singly(line: RequestLine) -> None:
    fields = _to_mapping(line)
    level, event = fields.pop("level"), fields.pop("event")
    del fields["timestamp"]
    log = _logger.debug if level == "debug" else _logger.info
    log(event, **fields)


_logger = structlog.get_logger("toolbox.access")


def _to_json(entry: Mapping[str, Any], default: Callable[[Any], Any]) -> str:
    """The standard library takes four times as long."""
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
