"""Collectors that are dead, silent or out of order cost a counter, and neither messages nor a stop."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from caxton.telemetry import exporters, room
from caxton.telemetry.settings import TelemetrySettings
from caxton.testing.guests import example
from caxton.testing.rooms import PATIENCE_S, open_node, until
from tests.integration.otlp_receiver import black_hole, dripping, grpc_receiver, http_receiver, nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http"])


@contextmanager
def out_of_order(protocol: str) -> Generator[str]:
    """Answers each export with an error."""
    with grpc_receiver(refuse=True) if protocol == "grpc" else http_receiver(status=500) as collected:
        yield collected.endpoint


@contextmanager
def busy(protocol: str) -> Generator[str]:
    """Answers that it should be tried again, which the exporters do for a while."""
    with nobody() if protocol == "grpc" else http_receiver(status=503) as found:
        yield found if isinstance(found, str) else found.endpoint


@contextmanager
def held(protocol: str) -> Generator[str]:
    """Takes requests and gives no whole answer."""
    with grpc_receiver(is_held=True) if protocol == "grpc" else dripping() as found:
        yield found if isinstance(found, str) else found.endpoint


COLLECTORS: dict[str, Callable[[str], AbstractContextManager[str]]] = {
    "nobody": lambda _: nobody(),
    "black hole": lambda _: black_hole(),
    "held": held,
    "out of order": out_of_order,
    "busy": busy,
}


@PROTOCOLS
@pytest.mark.parametrize("kind", COLLECTORS)
async def test_useless_collector_costs_a_counter_and_no_message(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    kind: str, protocol: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(exporters, "EXPORT_TIMEOUT_S", 0.2)
    with COLLECTORS[kind](protocol) as endpoint:
        settings = TelemetrySettings(endpoint=endpoint, protocol=protocol)
        async with open_node(tmp_path / "node", compiled=compiled_dir, telemetry=settings) as node:
            telemetry = node.rooms.telemetry
            assert telemetry is not None
            await node.deploy("echo", example("echo"))
            for n in range(50):
                assert (await node.ask("echo", {"n": n}))["content"] == {"n": n}
            logging.getLogger("caxton.test").warning("odd")
            await until(lambda: all(telemetry.dropped.values()))
            await until(lambda: telemetry.dropped["traces"] == 50 * 3)  # a sending, its handling, and the reply
            assert telemetry.exported == {"traces": 0, "metrics": 0, "logs": 0}
    told = [line for line in caplog.records if getattr(line, "action", "") == "telemetry.undelivered"]
    assert sorted(vars(line)["signal"] for line in told) == ["logs", "metrics", "traces"]  # once each, not each time
    assert all(vars(line)["error"] for line in told)
    assert not [line for line in caplog.records if line.name.startswith(("opentelemetry", "grpc"))]


@PROTOCOLS
@pytest.mark.parametrize("kind", COLLECTORS)
async def test_stop_does_not_wait_for_a_useless_collector(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    kind: str, protocol: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr(exporters, "EXPORT_TIMEOUT_S", 100 * PATIENCE_S)
    monkeypatch.setattr(room, "CLOSE_S", 0.05)
    with COLLECTORS[kind](protocol) as endpoint:
        settings = TelemetrySettings(endpoint=endpoint, protocol=protocol)
        async with open_node(tmp_path / "node", compiled=compiled_dir, telemetry=settings) as node:
            assert node.rooms.telemetry is not None
            await node.deploy("echo", example("echo"))
            await node.ask("echo")
            with anyio.fail_after(PATIENCE_S):  # an export that is waited for takes a hundred times as long
                await node.rooms.telemetry.aclose()
    assert [line for line in caplog.records if line.levelno >= logging.ERROR] == []


@PROTOCOLS
async def test_silent_collector_is_named_with_its_status_for_each_signal(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, protocol: Any
) -> None:
    monkeypatch.setattr(exporters, "EXPORT_TIMEOUT_S", 0.2)
    with held(protocol) as endpoint:
        settings = TelemetrySettings(endpoint=endpoint, protocol=protocol)
        async with open_node(tmp_path / "node", compiled=compiled_dir, telemetry=settings) as node:
            telemetry = node.rooms.telemetry
            assert telemetry is not None
            await node.deploy("echo", example("echo"))
            await node.ask("echo")
            logging.getLogger("caxton.test").warning("odd")
            await until(lambda: all(telemetry.dropped.values()))
    told = {vars(line)["signal"]: vars(line)["error"] for line in caplog.records if hasattr(line, "signal")}
    assert set(told) == {"traces", "metrics", "logs"}
    assert all(("DEADLINE_EXCEEDED" if protocol == "grpc" else "timeout") in text for text in told.values()), told


@PROTOCOLS
async def test_collector_that_comes_back_gets_what_follows(
    tmp_path: Path, compiled_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, protocol: Any
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(exporters, "EXPORT_TIMEOUT_S", 0.2)
    with http_receiver(status=500) as http, grpc_receiver(refuse=True) as grpc:
        collected = http if protocol == "http" else grpc
        settings = TelemetrySettings(endpoint=collected.endpoint, protocol=protocol, signals=("traces",))
        async with open_node(tmp_path / "node", compiled=compiled_dir, telemetry=settings) as node:
            telemetry = node.rooms.telemetry
            assert telemetry is not None
            await node.deploy("echo", example("echo"))
            await node.ask("echo")
            await until(lambda: telemetry.dropped["traces"] == 3)
            collected.is_well = True
            await node.ask("echo")
            await until(lambda: telemetry.exported["traces"] == 3)
            assert telemetry.dropped["traces"] == 3
    told = [action for line in caplog.records if (action := getattr(line, "action", "")).startswith("telemetry.")]
    assert told == ["telemetry.undelivered", "telemetry.delivered"]


SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from caxton.cli.main import main
from caxton.server import node as _
from caxton.telemetry.settings import TelemetrySettings
from caxton.testing.guests import example
from caxton.testing.rooms import open_node

async def run(directory, endpoint):
    async with open_node(Path(directory), telemetry=TelemetrySettings(endpoint=endpoint)) as node:
        await node.deploy("echo", example("echo"))
        await node.ask("echo")

asyncio.run(run(sys.argv[1], sys.argv[2] or None))
loaded = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted(loaded & {"opentelemetry", "grpc", "requests", "google", "urllib3"})))
"""


@pytest.mark.parametrize("has_endpoint", [False, True])
def test_opentelemetry_is_loaded_only_with_an_endpoint(tmp_path: Path, has_endpoint: bool) -> None:
    with nobody() as endpoint:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "node"), endpoint if has_endpoint else ""],
            capture_output=True, check=True, timeout=4 * PATIENCE_S,
        )  # fmt: skip
    assert ("opentelemetry" in json.loads(done.stdout)) is has_endpoint
    if not has_endpoint:
        assert json.loads(done.stdout) == []
