"""Traces: spans of what a request goes through, by OpenTelemetry, where its environment variables ask for them.

They are on when OTEL_EXPORTER_OTLP_ENDPOINT (or ..._TRACES_ENDPOINT) is set and OTEL_SDK_DISABLED is not; everything
else of the SDK's environment (protocol, headers, sampler, service name, batches) counts too. Off, a span costs a
function call, and nothing of OpenTelemetry is loaded.

Names of spans are few: what callers choose is no part of one unless it exists here. Neither arguments nor results nor
the words of errors are in a span: they may be secret. Spans are delivered by a thread of its own, in batches; a
collector that is not there costs the spans, and one line in the log.

Attributes are those of OpenTelemetry's conventions for HTTP, databases, generative AI and MCP.
"""

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import structlog

from toolbox.errors import SettingsError
from toolbox.version import VERSION

if TYPE_CHECKING:  # loading it takes a fifth of a second, and most installations have no collector
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

logger = structlog.get_logger(__name__)

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value: TypeAlias = str | int | float | bool | Sequence[str]
Attributes: TypeAlias = Mapping[str, Value]

GOODBYE_SECONDS = 2.0
"""How long the end of the process waits for the last spans to be delivered."""

MAX_STATEMENT = 2_000
"""Characters of a statement that a span keeps."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Span:
    """What happens at the moment; this one keeps nothing, because nobody wants to know."""

    is_recording = False

    def set(self, name: str, value: Value) -> None:
        """Say something of it."""

    def rename(self, name: str) -> None:
        """Call it something else, now that more is known."""

    def fail(self, kind: str) -> None:
        """It failed; `kind` is one of few, such as the code of an error."""


_NO_SPAN = Span()


class _NoSpans:
    """A context manager that can be used by everybody at once."""

    def __enter__(self) -> Span:
        return _NO_SPAN

    def __exit__(self, *_: object) -> None:
        return None


_NOTHING = _NoSpans()


class _RecordedSpan(Span):
    def __init__(self, span: "OtelSpan") -> None:
        self._span = span
        self.is_recording = span.is_recording()

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)


class _State:
    """Of the whole process, as OpenTelemetry's own."""

    tracer: "Tracer | None" = None
    provider: "TracerProvider | None" = None


_state = _State()


def is_tracing() -> bool:
    """Whether spans are kept; where many would be begun, ask first."""
    return _state.tracer is not None


def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: Kind = "internal",
    carrier: Mapping[str, str] | None = None,
) -> AbstractContextManager[Span]:
    """What happens in the block, as part of the span around it; an exception marks it as failed.

    With a `carrier` that has a `traceparent` (W3C Trace Context), it belongs to the caller's trace, and is linked to
    the span around it.
    """
    if _state.tracer is None:
        return _NOTHING
    return _record(_state.tracer, name, attributes, kind, carrier)


@contextlib.contextmanager
def _record(
    tracer: "Tracer", name: str, attributes: Attributes | None, kind: Kind, carrier: Mapping[str, str] | None
) -> Iterator[Span]:
    from opentelemetry.trace import Link, SpanKind, get_current_span

    parent, links = _read_context(carrier), []
    if parent is not None and (around := get_current_span().get_span_context()).is_valid:
        links = [Link(around)]
    with tracer.start_as_current_span(
        name,
        parent,
        SpanKind[kind.upper()],
        attributes,
        links,
        record_exception=False,  # its words may be secret
        set_status_on_exception=False,
    ) as started:
        recorded = _RecordedSpan(started)
        try:
            yield recorded
        except BaseException as error:
            recorded.fail(str(getattr(error, "code", "") or type(error).__name__))
            raise


def _read_context(carrier: Mapping[str, str] | None) -> "Context | None":
    if carrier is None or "traceparent" not in carrier:
        return None
    from opentelemetry.context import Context
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    found = TraceContextTextMapPropagator().extract(carrier, Context())
    return found if get_current_span(found).get_span_context().is_valid else None


def record_past(name: str, seconds: float, attributes: Attributes, *, kind: Kind, failure: str | None = None) -> None:
    """Something that has just ended, and took so long."""
    if _state.tracer is None:
        return
    from opentelemetry.trace import SpanKind

    end = time.time_ns()
    past = _state.tracer.start_span(
        name, None, SpanKind[kind.upper()], attributes, start_time=end - int(seconds * 1e9), record_exception=False
    )
    if failure:
        _RecordedSpan(past).fail(failure)
    past.end(end)


def inject_context(carrier: MutableMapping[str, str]) -> None:
    """Put the trace at hand into headers, or into `_meta`, of a request to somebody else (W3C Trace Context)."""
    if _state.tracer is None:
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    TraceContextTextMapPropagator().inject(carrier)


def current_ids() -> tuple[str, str] | None:
    """The ids of the trace and the span at hand, in hexadecimal; None where there is none."""
    if _state.tracer is None:
        return None
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    return (format_trace_id(context.trace_id), format_span_id(context.span_id)) if context.is_valid else None


def is_in_trace() -> bool:
    """Whether there is a span at hand; what happens outside of any, nobody asked for."""
    if _state.tracer is None:
        return False
    from opentelemetry.trace import get_current_span

    return get_current_span().get_span_context().is_valid


def current_trace_id() -> str | None:
    """The id of the trace at hand, in hexadecimal; None where there is none."""
    ids = current_ids()
    return ids[0] if ids else None


def configure_tracing(environ: Mapping[str, str] = os.environ) -> None:
    """Keep spans from now on, if the environment wants them; call once per process.

    Raises:
        SettingsError: It wants something that there is not.
    """
    if not _is_wanted(environ):
        return
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # All that it has to say of its own is of deliveries that fail, at each of them.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider = TracerProvider(resource=Resource.create(_describe_service(environ)), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_delivered_quietly(_create_exporter(environ))))
    _state.provider, _state.tracer = provider, provider.get_tracer("toolbox", VERSION)
    trace.set_tracer_provider(provider)  # tools that trace by themselves get their spans into the same trace
    atexit.register(stop_tracing)


def stop_tracing() -> None:
    """Deliver what there still is, if that goes quickly, and keep no more."""
    provider, _state.provider, _state.tracer = _state.provider, None, None
    if provider:
        farewell = threading.Thread(target=provider.shutdown, daemon=True)  # which may take as long as it likes
        farewell.start()
        farewell.join(GOODBYE_SECONDS)


def _is_wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)


def _describe_service(environ: Mapping[str, str]) -> dict[str, str]:
    """What we say of ourselves, unless the environment says otherwise."""
    is_named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {"service.version": VERSION} | ({} if is_named else {"service.name": "toolbox"})


def _create_exporter(environ: Mapping[str, str]) -> "SpanExporter":
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter()
    raise SettingsError(f"{_PROTOCOLS[1]}={protocol!r} cannot be used: one of http/protobuf, grpc is expected")


def _delivered_quietly(exporter: "SpanExporter") -> "SpanExporter":
    """The exporter, which says once that it cannot deliver, and once that it can again."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Quiet(SpanExporter):
        is_failing = False

        def export(self, spans: "Sequence[ReadableSpan]") -> SpanExportResult:
            try:
                result = exporter.export([_without_words(span) for span in spans])
            except Exception:  # noqa: BLE001 - whatever it is, it is the collector's business
                result = SpanExportResult.FAILURE
            is_failing = result is not SpanExportResult.SUCCESS
            if is_failing and not self.is_failing:
                logger.warning("traces cannot be delivered, and are lost meanwhile")
            elif self.is_failing and not is_failing:
                logger.info("traces are delivered again")
            self.is_failing = is_failing
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Quiet()


_TALKATIVE = "mcp-python-sdk"
"""Makes spans of its own for requests to upstreams, in which it writes down what they say of their errors."""


def _without_words(span: "ReadableSpan") -> "ReadableSpan":
    """The span of a request to an upstream, without the words of its errors: they may be secret."""
    if span.instrumentation_scope is None or span.instrumentation_scope.name != _TALKATIVE:
        return span
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        span.attributes,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def describe_statement(query: str) -> tuple[str, dict[str, Any]]:
    """The name and the attributes of a span for one SQL statement, which holds no values."""
    words = query.split(maxsplit=1)
    operation = words[0].upper() if words else "SQL"
    name = operation if operation.isalpha() else "SQL"
    return name, {
        "db.system.name": "postgresql",
        "db.operation.name": name,
        "db.query.text": " ".join(query.split())[:MAX_STATEMENT],
    }
