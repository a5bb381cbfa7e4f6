"""A real node with real guests, and what a collector gets of it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from caxton.core.errors.agents import AgentFailed
from caxton.server.metrics import CATALOGUE
from caxton.telemetry import names
from caxton.telemetry.settings import SIGNALS, Headers, TelemetrySettings
from caxton.testing.guests import example, guest
from caxton.testing.rooms import LocalNode, open_node, until
from tests.integration.otlp_receiver import Collected, attributes_of, grpc_receiver, http_receiver

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
RING = 5

RECEIVERS = {"grpc": grpc_receiver, "http": http_receiver}


def exporting(
    tmp_path: Path, compiled: Path, collected: Collected | str, **settings: Any
) -> AbstractAsyncContextManager[LocalNode]:
    """A node that exports to a collector."""
    endpoint = collected if isinstance(collected, str) else collected.endpoint
    return open_node(tmp_path / "node", compiled=compiled, telemetry=TelemetrySettings(endpoint=endpoint, **settings))


async def arrived(collected: Collected, condition: Any) -> None:
    await asyncio.to_thread(collected.wait_for, condition)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_collector_sees_a_chain_of_parents_over_five_agents(
    tmp_path: Path, compiled_dir: Path, protocol: Any
) -> None:
    with RECEIVERS[protocol]() as collected:
        async with exporting(tmp_path, compiled_dir, collected, protocol=protocol, sample_ratio=0.0) as node:
            for n in range(RING):  # in no sample, but the caller says that it keeps the trace
                await node.deploy(f"ring-{n}", example("ring"))
            await node.post(
                "ring-0", {"hops": RING - 1, "ring": RING}, conversation_id="round",
                traceparent=f"00-{TRACE}-{CALLER}-01",
            )  # fmt: skip
            await arrived(collected, lambda: len(collected.spans) >= 2 * RING)
    spans = {span.span_id: span for span in collected.spans}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    chain: list[str] = []
    last = next(span for span in spans.values() if span.name == f"process ring-{RING - 1}")
    while True:
        chain.append(last.name)
        if last.parent_span_id not in spans:
            break
        last = spans[last.parent_span_id]
    assert last.parent_span_id.hex() == CALLER
    assert chain[::-1] == [name for n in range(RING) for name in (f"send ring-{n}", f"process ring-{n}")]
    assert len(spans) == 2 * RING


async def test_spans_speak_by_the_conventions(tmp_path: Path, compiled_dir: Path) -> None:
    with grpc_receiver() as collected:
        async with exporting(tmp_path, compiled_dir, collected, signals=("traces",)) as node:
            await node.deploy("echo", example("echo"))
            reply = await node.ask("echo", {"n": 1}, conversation_id="c", traceparent=f"00-{TRACE}-{CALLER}-00")
            await arrived(collected, lambda: len(collected.spans) >= 3)
    by_name = {span.name: span for span in collected.spans}
    sent, handled, answered = (by_name[name] for name in ("send echo", "process echo", "send client:tester"))
    assert answered.parent_span_id == handled.span_id
    assert (sent.kind, handled.kind) == (4, 5)  # producer, consumer
    assert [link.span_id for link in handled.links] == [sent.span_id]
    assert sent.end_time_unix_nano <= handled.start_time_unix_nano < handled.end_time_unix_nano
    assert reply["traceparent"] == f"00-{TRACE}-{answered.span_id.hex()}-01"  # who goes on hangs below it
    found = attributes_of(handled)
    assert found.pop(names.MESSAGING_MESSAGE_ENVELOPE_SIZE)
    assert found.pop(names.MESSAGING_MESSAGE_ID) == reply["in_reply_to"]
    assert found == {
        "messaging.system": "caxton",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "echo",
        "messaging.message.conversation_id": "c",
        "gen_ai.conversation.id": "c",
        "gen_ai.agent.name": "echo",
        "caxton.workspace.id": "default",
        "caxton.fipa.performative": "request",
        "caxton.delivery.attempt": 1,
        "caxton.sampling.reason": "sampled",
    }
    (request, *_) = collected.requests
    resource = request.resource_spans[0]
    assert attributes_of(resource.resource)["service.name"] == "caxton"
    assert {resource.schema_url, resource.scope_spans[0].schema_url} == {names.SCHEMA_URL}


async def test_what_goes_wrong_is_kept_without_any_sample(tmp_path: Path, compiled_dir: Path) -> None:
    with grpc_receiver() as collected:
        async with exporting(tmp_path, compiled_dir, collected, signals=("traces",), sample_ratio=0.0) as node:
            await node.deploy("echo", example("echo"))
            await node.deploy("trap", guest("trap_div"))
            await node.ask("echo", {"n": 1})
            with pytest.raises(AgentFailed):  # who waits decides what then, so there is one attempt
                await node.ask("trap", {"n": 2}, conversation_id="bad", traceparent=f"00-{TRACE}-{CALLER}-00")
            await arrived(collected, lambda: any(span.name == "settle trap" for span in collected.spans))
    spans = {span.name: span for span in collected.spans}
    assert (len(collected.spans), set(spans)) == (3, {"send trap", "process trap", "settle trap"})
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    sent, handled, dead = spans["send trap"], spans["process trap"], spans["settle trap"]
    assert (sent.status.code, handled.parent_span_id, dead.parent_span_id) == (0, sent.span_id, sent.span_id)
    assert (handled.status.code, attributes_of(handled)[names.ERROR_TYPE]) == (2, "handler_crashed")
    assert (dead.status.code, attributes_of(dead)[names.ERROR_TYPE]) == (2, "failed")


async def test_refusal_hangs_below_the_handling_that_wanted_to_send(tmp_path: Path, compiled_dir: Path) -> None:
    with grpc_receiver() as collected:
        async with exporting(tmp_path, compiled_dir, collected, signals=("traces",)) as node:
            await node.deploy("ring-0", example("ring"))
            await node.post("ring-0", {"hops": 1, "ring": RING}, traceparent=f"00-{TRACE}-{CALLER}-01")
            await arrived(collected, lambda: any(span.name == "send ring-1" for span in collected.spans))
    refused = next(span for span in collected.spans if span.name == "send ring-1")
    cause = next(span for span in collected.spans if span.span_id == refused.parent_span_id)
    assert cause.name == "process ring-0"
    assert (refused.status.code, attributes_of(refused)[names.ERROR_TYPE]) == (2, "UNKNOWN_RECEIVER")


async def test_timer_begins_a_trace_that_what_it_sends_belongs_to(tmp_path: Path, compiled_dir: Path) -> None:
    with grpc_receiver() as collected:
        async with exporting(tmp_path, compiled_dir, collected, signals=("traces",)) as node:
            await node.deploy("sink", guest("sink"))
            await node.deploy("timer", guest("timer_guest"))
            await node.post("timer", "set")
            await arrived(collected, lambda: {"timer timer", "send sink"} <= {span.name for span in collected.spans})
    fired, sent = (next(s for s in collected.spans if s.name == name) for name in ("timer timer", "send sink"))
    assert fired.parent_span_id == b""
    assert (sent.parent_span_id, sent.trace_id) == (fired.span_id, fired.trace_id)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_figures_arrive_under_the_names_of_the_metrics_page(
    tmp_path: Path, compiled_dir: Path, protocol: Any
) -> None:
    with RECEIVERS[protocol]() as collected:
        async with exporting(tmp_path, compiled_dir, collected, protocol=protocol, signals=("metrics",)) as node:
            await node.deploy("echo", example("echo"))
            await node.ask("echo", {"n": 1})
            assert node.rooms.telemetry is not None
            await node.rooms.telemetry.aclose()  # which takes the last figures
            text = (await node.rooms.status.metrics()).decode()
    found = collected.metrics
    settled = found["caxton_messages_settled_total"].sum
    by_outcome = {attributes_of(point)["outcome"]: point.as_int for point in settled.data_points}
    assert (settled.is_monotonic, settled.aggregation_temporality, by_outcome["handled"]) == (True, 2, 1)
    (latency,) = found["caxton_message_latency_seconds"].histogram.data_points
    assert (latency.count, sum(latency.bucket_counts)) == (1, 1)
    assert len(latency.bucket_counts) == len(latency.explicit_bounds) + 1
    assert found["caxton_uptime_seconds"].gauge.data_points[0].as_double > 0
    breakers = [attributes_of(point) for point in found["caxton_circuit_breaker_state"].gauge.data_points]
    assert {"target": "agent", "state": "half_open"} in breakers
    with_samples = {line.partition(" ")[0].partition("{")[0] for line in text.splitlines() if line[0] != "#"}
    plain = {figure.metric.name for figure in CATALOGUE if figure.metric.kind != "histogram"}
    assert (plain & with_samples) - set(found) == set()
    assert "caxton_telemetry_dropped_total" in found


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_lines_of_the_server_and_of_agents_arrive(tmp_path: Path, compiled_dir: Path, protocol: Any) -> None:
    with RECEIVERS[protocol]() as collected:
        async with exporting(tmp_path, compiled_dir, collected, protocol=protocol, signals=("logs",)) as node:
            extra = {"action": "test.line", "trace_id": TRACE, "answer": 42}
            logging.getLogger("caxton.test").warning("something %s", "odd", extra=extra)
            await node.deploy("flood", guest("log_flood"))
            await node.post("flood", {"n": 1}, traceparent=f"00-{TRACE}-{CALLER}-01")
            await arrived(
                collected,
                lambda: {"test.line", ""} <= {record.event_name for record in collected.logs},
            )
    line = next(record for record in collected.logs if record.event_name == "test.line")
    assert (line.body.string_value, line.severity_number, line.severity_text) == ("something odd", 13, "WARN")
    assert line.trace_id.hex() == TRACE
    assert attributes_of(line) == {"answer": 42, "logger": "caxton.test"}
    said = next(record for record in collected.logs if not record.event_name)
    assert attributes_of(said)[names.AGENT] == "flood"
    assert said.trace_id.hex() == TRACE


SECRET = Headers(authorization="Bearer s3cret")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_headers_reach_the_collector(tmp_path: Path, compiled_dir: Path, protocol: Any) -> None:
    with RECEIVERS[protocol]() as collected:
        async with exporting(
            tmp_path, compiled_dir, collected, protocol=protocol, headers=SECRET, signals=("metrics",)
        ):
            await arrived(collected, lambda: bool(collected.requests))
    assert collected.headers[0]["authorization"] == "Bearer s3cret"


async def test_headers_are_for_that_collector_alone(tmp_path: Path, compiled_dir: Path) -> None:
    with http_receiver() as elsewhere, http_receiver(status=307, location=elsewhere.endpoint) as collected:
        async with exporting(
            tmp_path, compiled_dir, collected, protocol="http", headers=SECRET, signals=("metrics",)
        ) as node:
            telemetry = node.rooms.telemetry
            assert telemetry is not None
            await until(lambda: telemetry.dropped["metrics"])
    assert collected.requests
    assert elsewhere.requests == []


async def test_without_an_endpoint_there_is_nothing(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path / "node", compiled=compiled_dir, telemetry=TelemetrySettings()) as node:
        assert node.rooms.telemetry is None
        assert node.rooms.recorder.on_batch == []
        assert node.rooms.postbox.on_traced is None
        text = (await node.rooms.status.metrics()).decode()
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("caxton_telemetry_"))
    assert found == {
        **{f'caxton_telemetry_dropped_total{{signal="{signal}"}}': "0" for signal in SIGNALS},
        "caxton_telemetry_passed_over_total": "0",
    }
