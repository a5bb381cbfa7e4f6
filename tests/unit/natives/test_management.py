"""The agent management system: which agents there are, told to agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.natives import native
from caxton.natives.management import MAX_LOOKED_AT, MAX_RESULTS, Management
from caxton.protocols.catalogue import PROTOCOLS
from caxton.testing.handlers import acl
from tests.unit.bus.conftest import anyio_backend, clock, rig

if TYPE_CHECKING:
    from tests.unit.bus.rig import Rig

__all__ = ["anyio_backend", "clock", "rig"]


class Office:
    """A bus with `ams` on it; agents whose names begin with `stopped` are stopped."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.asker = rig, rig.agent("asker")
        self.receiver = native.install(rig.bus, Management(rig.bus, self._state))

    @staticmethod
    def _state(_workspace: str, name: str) -> str | None:
        return None if name == "ams" else "stopped" if name.startswith("stopped") else "running"

    def told(self, action: str, /, **more: object) -> tuple[str, Any]:
        """(act, content) of what it answers."""
        asked = {"action": action, **more}
        self.rig.post("ams", asked, performative="request", reply_to="asker")
        self.rig.pump()
        answer = self.asker.handler.delivered.pop()
        return answer.performative, msgspec.json.decode(answer.content)

    def found(self, **what: object) -> list[str]:
        act, content = self.told("search", **what)
        assert act == "inform"
        return [one["agent"] for one in content["result"]]


@pytest.fixture
async def office(rig: Rig) -> Office:
    return Office(rig)


@pytest.mark.parametrize("action", ["register", "modify", "deregister"])
async def test_nobody_is_registered_by_message_because_deployment_does_it(office: Office, action: str) -> None:
    act, content = office.told(action, agent="asker", anything=1)
    assert (act, content["error"]) == ("refuse", "NOT_AUTHORISED")
    assert "deploy" in content["reason"]


async def test_unknown_action_is_not_understood_and_the_known_are_named(office: Office) -> None:
    act, content = office.told("kill", agent="asker")
    assert (act, content["error"]) == ("not-understood", "UNKNOWN_ACTION")
    assert content["known"] == ["deregister", "describe", "get-description", "modify", "register", "search"]


@pytest.mark.parametrize(
    "more",
    [
        {"max_results": 0},
        {"max_results": MAX_RESULTS + 1},
        {"state": "happy"},
        {"state": 1},
        {"name": "a"},
        {"after": 1},
    ],
)
async def test_search_that_makes_no_sense_is_refused(office: Office, more: dict[str, object]) -> None:
    act, content = office.told("search", **more)
    assert (act, content["error"]) == ("refuse", "INVALID_ARGUMENT")


async def test_agent_that_is_not_there_is_a_failure_with_the_nearest_name(office: Office) -> None:
    for name, nearest in (("askr", ["asker"]), ("x" * 100_000, [])):
        act, content = office.told("describe", agent=name)
        assert (act, content["error"], content["nearest"]) == ("failure", "AGENT_NOT_FOUND", nearest)


async def test_name_that_has_no_agent_now_is_not_shown(office: Office) -> None:
    gone = office.rig.agent("gone")
    office.rig.bus.names.remove(gone.receiver)
    office.rig.post("gone", 1)
    assert office.found() == ["ams", "asker"]
    assert office.told("describe", agent="gone")[0] == "failure"


async def test_agent_is_described_as_it_is(office: Office) -> None:
    office.asker.receiver.offer(deployed={"b": 1, "a": 2})
    assert office.told("describe", agent="asker") == (
        "inform",
        {
            "action": "describe", "agent": "asker", "state": "running", "health": "healthy", "replicas": 1,
            "waiting": 0, "capabilities": ["a", "b"], "native": False,
        },
    )  # fmt: skip
    assert office.told("describe", agent="ams")[1]["native"] is True


async def test_search_goes_by_state_and_capability(office: Office) -> None:
    for name in ("stopped-1", "runs-1"):
        office.rig.receiver(name).receiver.offer(deployed={"sorting": 1})
    assert office.found(state="stopped") == ["stopped-1"]
    assert office.found(capability="sorting") == ["runs-1", "stopped-1"]
    assert office.found(capability="sorting", state="running") == ["runs-1"]
    assert office.found(capability="none") == []


async def test_search_is_given_in_pages_and_looks_at_so_many_agents_only(office: Office) -> None:
    for n in range(MAX_LOOKED_AT):
        office.rig.receiver(f"runs-{n:04}")
    office.rig.receiver("stopped-1")
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        content = office.told("search", **after)[1]
        seen += [one["agent"] for one in content["result"]]
        if content["complete"]:
            break
        after = {"after": content["after"]}
    assert seen == ["ams", "asker", *(f"runs-{n:04}" for n in range(MAX_LOOKED_AT)), "stopped-1"]
    content = office.told("search", state="stopped")[1]
    assert (content["result"], content["complete"]) == ([], False)
    assert office.found(state="stopped", after=content["after"]) == ["stopped-1"]


async def test_platform_says_what_it_is(office: Office) -> None:
    act, content = office.told("get-description")
    assert (act, content["services"], content["protocols"]) == ("inform", ["ams", "df", "tasks"], sorted(PROTOCOLS))


async def test_what_is_no_question_gets_no_answer(office: Office) -> None:
    for act in ("not-understood", "failure", "inform"):
        office.rig.bus.mail.send("default", "ams", acl("ams", {"action": "search"}, performative=act, reply_to="asker"))
    office.rig.pump()
    assert (office.asker.handler.delivered, office.receiver.messages) == ([], 0)
