"""What the API counts of the requests that it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from caxton.api.app import build_app
from caxton.api.edge import Edge
from caxton.api.hosts import HostPolicy
from caxton.api.meter import Meter
from caxton.api.request import Limits
from caxton.security.tokens import TokenVerifier
from tests.unit.api.conftest import Call

if TYPE_CHECKING:
    from tests.unit.api.conftest import Answer, Api


@dataclass
class Metered:
    """An API of which it is known what it counts."""

    api: Api
    meter: Meter

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.api(method, path, body, **options)

    def errors(self) -> dict[str, int]:
        """Errors by code."""
        return {code: count for code, count in self.meter.errors.items() if count}

    def counted(self) -> dict[tuple[str, str, str], int]:
        """Answers by route, method and status."""
        return {key: sum(histogram.read().counts) for key, histogram in self.meter.durations.items()}


@pytest.fixture
async def metered(api: Api) -> Metered:
    meter = Meter()
    verifier = TokenVerifier([api.key], api.clock)
    api.app = build_app(api.node.services, verifier, version="0", stopping=api.stopping, meter=meter)
    return Metered(api, meter)


async def test_requests_count_under_their_route_and_not_their_path(metered: Metered) -> None:
    for name in ("echo", "nobody", "echo"):
        await metered("GET", f"/api/v1/agents/{name}")
    assert metered.counted() == {
        ("/api/v1/agents/{name}", "GET", "200"): 2,
        ("/api/v1/agents/{name}", "GET", "404"): 1,
    }


async def test_what_strangers_make_up_makes_no_series(metered: Metered) -> None:
    for n in range(5):
        await metered("GET", f"/nowhere/{n}", token=None)
        await metered(f"BREW{n}", "/health")
        await metered("GET", "/health", host=f"evil{n}.example")
    assert metered.counted() == {
        ("unmatched", "GET", "404"): 5,
        ("unmatched", "other", "405"): 5,
        ("unmatched", "GET", "403"): 5,
    }


async def test_wrong_requests_are_refusals_and_not_errors(metered: Metered) -> None:
    await metered("GET", "/api/v1/agents/nobody")
    await metered("POST", "/api/v1/messages", b"{")
    assert (metered.errors(), dict(metered.meter.refusals)) == (
        {},
        {"AGENT_NOT_FOUND": 1, "INVALID_MESSAGE": 1},
    )


async def test_what_fails_within_is_an_error_by_its_code(metered: Metered, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(metered.api.node.agents, "get", fails)
    await metered("GET", "/api/v1/agents/echo")
    assert (metered.errors(), dict(metered.meter.refusals)) == ({"INTERNAL_ERROR": 1}, {})


async def test_every_error_is_counted_from_zero_on_since_only_what_grows_raises_an_alarm(metered: Metered) -> None:
    await metered("GET", "/health")
    assert set(metered.meter.errors.values()) == {0}
    assert {"INTERNAL_ERROR", "AGENT_FAILED", "REPLY_TIMEOUT", "STORAGE_FULL"} <= set(metered.meter.errors)


async def test_server_that_stops_refuses_what_counts_as_errors(metered: Metered) -> None:
    metered.api.stopping.set()
    await metered("GET", "/api/v1/agents")
    assert metered.errors() == {"SHUTTING_DOWN": 1}


async def test_answers_to_probes_are_no_errors(metered: Metered) -> None:
    metered.api.node.server.is_ready = False
    assert (await metered("GET", "/ready")).status == 503
    assert (metered.errors(), dict(metered.meter.refusals)) == ({}, {})


async def test_requests_without_a_proof_and_with_a_false_one_are_told_apart(metered: Metered) -> None:
    await metered("GET", "/api/v1/agents", token=None)
    await metered("GET", "/api/v1/agents", token="forged")  # noqa: S106
    await metered("GET", "/api/v1/agents", token="forged")  # noqa: S106
    await metered("GET", "/health", token=None)  # needs none
    assert metered.meter.auth_failures == {"missing": 1, "invalid": 2}
    assert metered.counted()["/api/v1/agents", "GET", "401"] == 3


async def test_what_somebody_may_not_do_counts_by_action(metered: Metered) -> None:
    await metered("DELETE", "/api/v1/agents/echo", token=metered.api.token_for("viewer"))
    await metered("GET", "/api/v1/agents", token=metered.api.token_for("monitor"))
    denied = {action: count for action, count in metered.meter.denied.items() if count}
    assert denied == {"agents:write": 1, "agents:read": 1}


async def test_answer_that_breaks_off_is_an_error(metered: Metered) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    edge = Edge(app, HostPolicy(), Limits(), asyncio.Event(), metered.meter)
    call = Call(headers=[("host", "localhost")])
    await edge(call.scope(), call.receive, call.send)
    assert (metered.counted(), metered.errors()) == (
        {("unmatched", "GET", "200"): 1},
        {"INTERNAL_ERROR": 1},
    )


async def test_caller_who_hangs_up_counts_with_the_time_that_was_waited(metered: Metered) -> None:
    began = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    edge = Edge(app, HostPolicy(), Limits(), asyncio.Event(), metered.meter)
    call = Call(headers=[("host", "localhost")])
    answering = asyncio.create_task(edge(call.scope(), call.receive, call.send))
    await began.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert metered.counted() == {("unmatched", "GET", "499"): 1}
