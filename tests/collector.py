"""A collector of traces as real as it need be: OTLP over HTTP and over gRPC, on ports of its own."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collector:
    """What was delivered, and where to deliver it."""

    def __init__(self) -> None:
        self.spans = list[Any]()
        self.services = set[str]()
        self.http = ""
        self.grpc = ""
        self._changed = threading.Condition()

    def take(self, request: Any) -> None:
        """Keep a delivery."""
        with self._changed:
            for resource in request.resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                self.services.add(names["service.name"])
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            self._changed.notify_all()

    def wait_for(self, name: str, seconds: float = 30) -> Any:
        """The span of a name, when it has come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.find(name), seconds), [span.name for span in self.spans]
        return self.find(name)

    def find(self, name: str) -> Any:
        """The last span of a name."""
        return next((span for span in reversed(self.spans) if span.name == name), None)


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes as Python has them."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name that the protocol gives it
            collector.take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    collector.grpc = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        collector.http = f"http://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield collector
        finally:
            web.shutdown()
            thread.join()
            server.stop(None)
