"""What is counted and measured, for Prometheus: each instrument, once for the process. /metrics shows them.

Counting must cost next to nothing, so an instrument is asked for its labels once and keeps what it gets:
`CALLS["text_reverse", "ok"].inc()`. A label takes few values, or as many as MAX_NAMES where others choose them; what
comes then is counted under OTHER.

With several server processes they share a folder that their parent makes before they are started (FOLDER_VARIABLE), in
which each keeps its own numbers in a file; whichever of them is asked adds them up. Counters of processes that have
ended stay in the sum, gauges do not.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

I = TypeVar("I", Counter, Gauge, Histogram)  # noqa: E741 - an instrument

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The library's own name for it; it is read when the library is imported."""

MAX_NAMES = 1000
"""Values of a label that others choose, above all names of tools: each is a time series of its own."""
OTHER = "(other)"

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds that something takes for which somebody waits."""
SLOW = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds of work in the background."""

_REGISTRY = CollectorRegistry()


class Labelled(dict[tuple[Any, ...], I], Generic[I]):
    """An instrument by the values of its labels, in their order; those that have been used are found at once.

    Labels named in `open` take any value: as many as MAX_NAMES, and OTHER for all that come after.
    """

    def __init__(self, instrument: I, open: tuple[str, ...] = ()) -> None:  # noqa: A002 - it is what they are
        self._instrument: I = instrument
        names: tuple[str, ...] = instrument._labelnames  # noqa: SLF001 - it has no other way to say them
        self._open = [names.index(name) for name in open]
        self._known = {place: set[str]() for place in self._open}

    def __missing__(self, values: tuple[Any, ...]) -> I:
        bounded = list(values)
        for place in self._open:
            known = self._known[place]
            if len(known) < MAX_NAMES:
                known.add(values[place])
            elif values[place] not in known:
                bounded[place] = OTHER
        child: I = self._instrument.labels(*bounded)
        if tuple(bounded) == values:  # what is not shown by its name is not kept by it either
            self[values] = child
        return child


def _counter(name: str, text: str, *labels: str, open: tuple[str, ...] = ()) -> Labelled[Counter]:  # noqa: A002
    return Labelled(Counter(f"toolbox_{name}", text, labels, registry=_REGISTRY), open)


def _histogram(
    name: str,
    text: str,
    *labels: str,
    buckets: tuple[float, ...],
    open: tuple[str, ...] = (),  # noqa: A002
) -> Labelled[Histogram]:
    return Labelled(Histogram(f"toolbox_{name}", text, labels, registry=_REGISTRY, buckets=buckets), open)


def _gauge(
    name: str,
    text: str,
    *labels: str,
    mode: Literal["livesum", "livemax"] = "livesum",
    open: tuple[str, ...] = (),  # noqa: A002
) -> Labelled[Gauge]:
    """`mode` says what several processes come to: together, or the one that is worst off."""
    return Labelled(Gauge(f"toolbox_{name}", text, labels, registry=_REGISTRY, multiprocess_mode=mode), open)


def _single(name: str, text: str) -> Gauge:
    return Gauge(f"toolbox_{name}", text, registry=_REGISTRY, multiprocess_mode="livesum")


REQUESTS = _histogram(
    "http_request_seconds",
    "Requests, by the route and not the path that was asked for.",
    *("method", "route", "status"),
    buckets=FAST,
)
REQUESTS_RUNNING = _single("http_requests_running", "Requests that are being answered; streams too.")
STREAMS = _single("open_streams", "Streams on which clients listen.")
MCP = _counter(
    "mcp_requests", "Requests of MCP; status is ok, the code of the error, or cancelled.", "method", "version", "status"
)

CALLS = _counter("calls", "Calls of tools; status is ok, or the code of the error.", "tool", "status", open=("tool",))
CALL_SECONDS = _histogram("call_seconds", "How long calls took, by how they came.", "channel", buckets=FAST)
CALLS_NOW = _gauge("calls_now", "Calls that run, and calls that wait for a free slot.", "state")

SEARCHES = _counter(
    "searches", "Searches: found or empty; degraded: by words alone, as the embedder failed.", "result", "degraded"
)
SEARCH_SECONDS = _histogram("search_seconds", "How long searches took, in all and by stage.", "stage", buckets=FAST)
TOKENS_SAVED = Counter(
    "toolbox_tokens_saved",
    "Tokens of definitions that finds did not send, of all that there are (3 bytes a token).",
    registry=_REGISTRY,
)

EMBEDDED = _counter("embedded_texts", "Texts that the embedding model was given.", "purpose", "result")
EMBEDDING_SECONDS = _histogram("embedding_seconds", "How long the embedding model took.", "purpose", buckets=FAST)
CACHE = _counter("embedding_cache", "Where embeddings came from: memory, redis, joined or model.", "source")

SYNCS = _counter("syncs", "Times that the catalogue was brought up to date, or was not.", "result")
SYNC_SECONDS = _histogram("sync_seconds", "How long that took.", "result", buckets=SLOW)
SYNCED_TOOLS = _counter("synced_tools", "Tools that it changed.", "change")

ROWS_WAITING = _gauge("rows_waiting", "Rows that are to be written, such as calls of the history.", "of")
ROWS_DROPPED = _counter("rows_dropped", "Rows that could not be kept.", "of")

CONNECTIONS = _gauge("database_connections", "Connections of the pools.", "state")
CONNECTIONS_MAX = _single("database_connections_max", "Connections that the pools may open.")
MEMORY = _single("memory_bytes", "Memory that the server processes hold.")
TASKS = _single("asyncio_tasks", "Tasks of asyncio that have not ended: a few for each request that is being answered.")

BREAKER_OPEN = _gauge(
    "breaker_open",
    "1 while something that failed is left alone: its circuit breaker is open.",
    "part",
    mode="livemax",
    open=("part",),
)
RATE_LIMITED = _counter("rate_limited", "Requests refused with 429.", "category", "window")
RATE_LIMIT_FALLBACKS = _counter("rate_limit_fallbacks", "Limits looked up in memory, as Redis is down.", "category")
REFUSED_CALLERS = _counter("refused_callers", "Requests refused with 401 or 403, and why.", "reason")
TOO_LARGE = _counter("too_large", "Requests refused because of their size.", "limit")
TOO_SLOW = _counter("too_slow", "Connections given up because the client did not send on, by what was missing.", "part")

UPSTREAM_UP = _gauge("upstream_up", "Server processes that are connected to it.", "upstream", open=("upstream",))
UPSTREAM_FAILED = _gauge(
    "upstream_failed",
    "1 while an upstream that is wanted cannot be used.",
    "upstream",
    mode="livemax",
    open=("upstream",),
)
UPSTREAM_FAILURES = _counter(
    "upstream_failures", "Times that it could not be connected to, or was lost.", "upstream", open=("upstream",)
)
UPSTREAM_RESTARTS = _counter("upstream_restarts", "Times that it was started again.", "upstream", open=("upstream",))
UPSTREAM_CALLS = _counter(
    "upstream_calls",
    "Requests to upstreams; status is ok, or the code of the error.",
    *("upstream", "status"),
    open=("upstream",),
)
UPSTREAM_SECONDS = _histogram(
    "upstream_seconds", "How long upstreams took.", "upstream", buckets=FAST, open=("upstream",)
)


class Fact(Struct, frozen=True):
    """A number that does not belong to a process, such as how much is in the database; by `state` where it has several.

    Whichever process is asked looks it up.
    """

    name: str
    text: str
    values: Mapping[str, float]


def show_metrics(facts: Iterable[Fact]) -> bytes:
    """Everything in Prometheus' text format."""
    folder = os.environ.get(FOLDER_VARIABLE)
    counted = _REGISTRY
    if folder:
        _bury_the_dead(Path(folder))
        counted = CollectorRegistry()
        MultiProcessCollector(counted, folder)  # type: ignore[no-untyped-call]
    looked_up = CollectorRegistry()
    looked_up.register(_Facts(facts))
    return generate_latest(counted) + generate_latest(looked_up)


class _Facts(Collector):
    def __init__(self, facts: Iterable[Fact]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for fact in self._facts:
            has_states = "" not in fact.values
            family = GaugeMetricFamily(f"toolbox_{fact.name}", fact.text, labels=("state",) if has_states else ())
            for state, value in fact.values.items():
                family.add_metric((state,) if has_states else (), value)
            yield family


def _bury_the_dead(folder: Path) -> None:
    """Gauges of a process that has ended say nothing of what is."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(re.findall(r"_(\d+)\.db$", file.name)[0])
        if not _is_alive(pid):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def shared_folder() -> Iterator[None]:
    """Give the processes that are started in the block a folder for their numbers, unless the environment names one."""
    if os.environ.get(FOLDER_VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="toolbox-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]
