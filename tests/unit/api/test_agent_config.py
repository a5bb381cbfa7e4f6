"""The routes about settings that change while an agent runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caxton.api.errors import problem_reply
from caxton.core.errors.receivers import BulkheadFull, CircuitOpen

if TYPE_CHECKING:
    from caxton.core.errors.error import CaxtonError
    from tests.unit.api.conftest import Api

PATH = "/api/v1/agents/echo/config"

DEFAULTS = {
    "name": "echo",
    "circuit_breaker": {"threshold": 5, "timeout_s": 10.0, "probes": 1},
    "bulkhead": {"max_waiting": 1000},
    "resources": {"messages_per_s": 20000, "mailbox_messages": 10000, "mailbox_bytes": 16 << 20},
    "record": False,
}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], "INVALID_REQUEST"),
        ({"circuit": {}}, "INVALID_REQUEST"),
        ({"record": "yes"}, "INVALID_REQUEST"),
        ({"circuit_breaker": {"treshold": 3}}, "INVALID_REQUEST"),
        ({"circuit_breaker": {"threshold": 1.5}}, "INVALID_REQUEST"),
        ({"circuit_breaker": None}, "INVALID_REQUEST"),
        ({"resources": {"timeout": "5s"}}, "INVALID_REQUEST"),
        ({"circuit_breaker": {"threshold": -1}}, "INVALID_VALUE"),
        ({"circuit_breaker": {"probes": 2, "timeout": "tomorrow"}}, "INVALID_VALUE"),
        ({"circuit_breaker": {"probes": 2}, "bulkhead": {"max_waiting": 0}}, "INVALID_VALUE"),
    ],
)
async def test_patch_that_breaks_a_rule_changes_nothing(body: Any, code: str, api: Api) -> None:
    answer = await api("PATCH", PATH, body)
    assert (answer.status, answer.code) == (400, code)
    assert (await api("GET", PATH)).json == DEFAULTS


async def test_settings_are_shown_with_their_defaults(api: Api) -> None:
    assert (await api("GET", PATH)).json == DEFAULTS


async def test_patch_changes_what_it_says_and_answers_with_all_that_holds(api: Api) -> None:
    await api("PATCH", PATH, {"resources": {"mailbox_bytes": "2MB"}})
    answer = await api("PATCH", PATH, {"circuit_breaker": {"threshold": 3, "timeout": "250ms"}})
    wanted = DEFAULTS | {
        "circuit_breaker": {"threshold": 3, "timeout_s": 0.25, "probes": 1},
        "resources": {"messages_per_s": 20000, "mailbox_messages": 10000, "mailbox_bytes": 2 << 20},
    }
    assert (answer.status, answer.json) == (200, wanted)
    assert (await api("GET", PATH)).json == wanted
    view = (await api("GET", "/api/v1/agents/echo")).json
    assert (view["revision"], view["circuit_breaker"]["threshold"]) == (1, 3)


@pytest.mark.parametrize("off", ["off", 0, False])
async def test_circuit_breaker_can_be_switched_off(off: object, api: Api) -> None:
    answer = await api("PATCH", PATH, {"circuit_breaker": {"threshold": off}})
    assert answer.json["circuit_breaker"]["threshold"] == 0


async def test_null_gives_a_setting_its_default_again(api: Api) -> None:
    await api("PATCH", PATH, {"circuit_breaker": {"threshold": 3}, "bulkhead": {"max_waiting": 3}})
    answer = await api("PATCH", PATH, {"circuit_breaker": {"threshold": None}})
    assert answer.json == DEFAULTS | {"bulkhead": {"max_waiting": 3}}


async def test_agent_that_is_not_there_is_told_with_the_nearest(api: Api) -> None:
    answer = await api("PATCH", "/api/v1/agents/ecko/config", {"bulkhead": {"max_waiting": 3}})
    assert (answer.status, answer.code) == (404, "AGENT_NOT_FOUND")
    assert answer.json["details"]["nearest"] == "echo"


async def test_viewer_may_look_at_settings_and_not_change_them(api: Api) -> None:
    api.token = api.token_for("viewer")
    assert (await api("GET", PATH)).status == 200
    assert (await api("PATCH", PATH, {"bulkhead": {"max_waiting": 3}})).code == "FORBIDDEN"


@pytest.mark.parametrize(
    ("error", "status", "seconds"),
    [
        (CircuitOpen("a", 5, 9.2), 503, b"10"),
        (CircuitOpen("a", 5, 3.0), 503, b"3"),
        (CircuitOpen("a", 5, 0.0), 503, b"1"),
        (BulkheadFull("a", 7), 429, b"1"),
    ],
)
def test_refused_caller_is_told_when_to_come_again(error: CaxtonError, status: int, seconds: bytes) -> None:
    reply = problem_reply(error, trace_id="0" * 32)
    assert (reply.status, dict(reply.headers)[b"retry-after"]) == (status, seconds)
