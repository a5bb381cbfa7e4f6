"""Collectors for tests: real ones by gRPC and HTTP that keep what they get, and three kinds that are of no use."""

# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

WAIT_S = 15.0
"""How long a test waits for what must arrive; only a failing one waits so long."""


DRIP_S = 0.02
"""Less than any timeout of a test."""


class Collected:
    """What arrived, and the headers it came with. Filled by the threads of a server."""

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint
        self.is_well = True
        """Whether it answers as a collector should. May change at any time."""
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self._arrived = threading.Condition()

    def take(self, request: Any, headers: dict[str, str]) -> None:
        with self._arrived:
            self.requests.append(request)
            self.headers.append(headers)
            self._arrived.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until `condition` holds; looked at after each request. In a thread of its own, if in an event loop."""
        with self._arrived:
            assert self._arrived.wait_for(condition, WAIT_S), self.requests

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            if isinstance(request, ExportTraceServiceRequest)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def logs(self) -> list[Any]:
        return [
            record
            for request in self.requests
            if isinstance(request, ExportLogsServiceRequest)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        """The newest of each name."""
        return {
            metric.name: metric
            for request in self.requests
            if isinstance(request, ExportMetricsServiceRequest)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def attributes_of(thing: Any) -> dict[str, object]:
    """Attributes of a span, a record, a point or a resource."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in thing.attributes}


@contextmanager
def grpc_receiver(*, refuse: bool = False, is_held: bool = False) -> Generator[Collected]:
    """A collector on a free port; with `refuse` one that answers with an error until it `is_well`, `is_held` never."""
    released = threading.Event()
    collected = Collected()
    collected.is_well = not refuse

    def servicer(base: type, answer: Any) -> Any:
        def export(_self: Any, request: Any, context: Any) -> Any:
            headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            collected.take(request, headers)
            if is_held:
                released.wait(WAIT_S)
            if not collected.is_well:
                context.abort(grpc.StatusCode.INTERNAL, "out of order")
            return answer()

        return type("Servicer", (base,), {"Export": export})()

    server = grpc.server(ThreadPoolExecutor(4))
    add_TraceServiceServicer_to_server(servicer(TraceServiceServicer, ExportTraceServiceResponse), server)
    add_MetricsServiceServicer_to_server(servicer(MetricsServiceServicer, ExportMetricsServiceResponse), server)
    add_LogsServiceServicer_to_server(servicer(LogsServiceServicer, ExportLogsServiceResponse), server)
    port = server.add_insecure_port("127.0.0.1:0")
    collected.endpoint = f"http://127.0.0.1:{port}"
    server.start()
    try:
        yield collected
    finally:
        released.set()
        server.stop(None).wait(WAIT_S)


_KINDS: dict[str, type] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@contextmanager
def http_receiver(*, status: int = 200, location: str = "") -> Generator[Collected]:
    """A collector on a free port that answers with `status` until it `is_well`."""
    collected = Collected()
    collected.is_well = status == 200

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = _KINDS[self.path]()
            request.ParseFromString(body)
            collected.take(request, {key.lower(): value for key, value in self.headers.items()})
            self.send_response(200 if collected.is_well else status)
            if location and not collected.is_well:
                self.send_header("Location", location + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collected.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield collected
        finally:
            server.shutdown()
            thread.join(WAIT_S)


@contextmanager
def nobody() -> Generator[str]:
    """The endpoint of a port on which nobody listens, and that nobody else gets meanwhile."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def dripping() -> Generator[str]:
    """The endpoint of a port that takes requests by HTTP and answers with a header that never ends, bit by bit."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
                while not stopped.wait(DRIP_S):
                    self.wfile.write(b"x")
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    stopped = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            stopped.set()
            server.shutdown()
            thread.join(WAIT_S)


@contextmanager
def black_hole() -> Generator[str]:
    """The endpoint of a port that takes connections and never says a word."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(64)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
