"""The directory facilitator on a real bus and journal: what it refuses, keeps, finds and forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.bus.turn import MAX_KV_BYTES
from caxton.natives import native
from caxton.natives.facilitator import (
    LEASE_STEP_US,
    MAX_LEASE_S,
    MAX_LOOKED_AT,
    MAX_PROPERTIES_BYTES,
    MAX_REGISTRATIONS,
    MAX_RESULTS,
    Facilitator,
)
from caxton.testing.handlers import say
from tests.unit.bus.conftest import anyio_backend, clock, rig
from tests.unit.bus.rig import Agent, Rig

if TYPE_CHECKING:
    from caxton.bus.turn import Turn
    from caxton.messages.message import AclMessage

__all__ = ["anyio_backend", "clock", "rig"]


class Office:
    """A bus with a facilitator, and agents that ask it what they are told to."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.facilitator = Facilitator(rig.bus)
        (self.receiver,) = native.recover(rig.bus, rig.database, [self.facilitator])
        self.agents: dict[str, Agent] = {}

    def open(self) -> Office:
        self.facilitator.restore()
        native.start(self.rig.bus, [self.receiver])
        return self

    def agent(self, name: str, **deployed: int) -> Agent:
        """One that sends on to `df` what a client posts, and keeps what it hears from it."""
        agent = self.agents[name] = self.rig.agent(name, self._pass_on)
        agent.receiver.offer(deployed=deployed)
        return agent

    @staticmethod
    def _pass_on(turn: Turn, message: AclMessage) -> int:
        fields = msgspec.json.decode(message.content)
        if not message.sender.startswith("client:") or fields == 1:
            return 0
        return turn.send(say(fields.pop("receiver", "df"), fields.pop("content"), **fields))

    def ask(self, agent: str, content: object, /, **fields: object) -> AclMessage | None:
        """What `df` answered to a request of `agent`; None if it said nothing."""
        heard = len(self.agents[agent].handler.delivered)
        asked = {"performative": "request", "content": content, "conversation_id": "c", "reply_with": "r", **fields}
        self.rig.post(agent, asked)
        self.rig.pump()
        answers = self.agents[agent].handler.delivered[heard + 1 :]
        assert len(answers) <= 1
        for answer in answers:
            assert (answer.sender, answer.in_reply_to, answer.conversation_id) == ("df", "r", "c")
        return answers[0] if answers else None

    def told(self, agent: str, action: str, /, **more: object) -> tuple[str, Any]:
        """(act, content) of the answer to an action."""
        answer = self.ask(agent, {"action": action, **more})
        assert answer is not None
        return answer.performative, msgspec.json.decode(answer.content)

    def refused(self, agent: str, action: str, /, **more: object) -> tuple[str, str]:
        """(act, error code)."""
        act, content = self.told(agent, action, **more)
        assert content["reason"]
        return act, content["error"]

    def found(self, agent: str, /, **what: object) -> list[tuple[str, str]]:
        """(agent, capability) of a search."""
        act, content = self.told(agent, "search", **what)
        assert act == "inform"
        return [(one["agent"], one["capability"]) for one in content["result"]]

    def offers(self, agent: str) -> dict[str, int]:
        return self.agents[agent].receiver.offers


def offer(name: str = "sorting", **more: object) -> dict[str, object]:
    return {"name": name, **more}


@pytest.fixture
async def office(rig: Rig) -> Office:
    office = Office(rig).open()
    office.agent("a")
    office.agent("b")
    return office


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [None, 1, "search", [], {}, {"action": 1}, {"action": "fly"}, {"action": ""}, {"capability": "x"}]
)
async def test_what_is_no_known_action_is_not_understood_and_the_known_are_named(
    office: Office, content: object
) -> None:
    answer = office.ask("a", content, protocol="fipa-request")
    assert answer is not None
    assert (answer.performative, answer.protocol) == ("not-understood", "fipa-request")
    told = msgspec.json.decode(answer.content)
    assert (told["error"], told["known"]) == ("UNKNOWN_ACTION", ["deregister", "modify", "register", "search"])


@pytest.mark.parametrize("act", ["query-ref", "cfp", "subscribe", "cancel", "propose"])
async def test_other_acts_that_want_an_answer_are_not_understood(office: Office, act: str) -> None:
    answer = office.ask("a", {"action": "search"}, performative=act)
    assert answer is not None
    assert (answer.performative, msgspec.json.decode(answer.content)["known"]) == ("not-understood", ["request"])


@pytest.mark.parametrize("act", ["inform", "failure", "not-understood", "refuse", "agree"])
async def test_an_answer_gets_no_answer(office: Office, act: str) -> None:
    assert office.ask("a", {"action": "search"}, performative=act) is None
    assert office.receiver.messages == 0


BAD_OFFERS: list[dict[str, object]] = [
    {}, {"capabilities": None}, {"capabilities": []}, {"capabilities": ["sorting"]}, {"capabilities": [{}]},
    {"capabilities": [offer(), offer()]}, {"capabilities": [offer("no spaces")]}, {"capabilities": [offer("x" * 65)]},
    {"capabilities": [offer("a/b")]}, {"capabilities": [offer(priority=-1)]}, {"capabilities": [offer(priority=1001)]},
    {"capabilities": [offer(priority="high")]}, {"capabilities": [offer(properties=[1])]},
    {"capabilities": [offer(properties={"x": "y" * MAX_PROPERTIES_BYTES})]}, {"capabilities": [offer(lease_s=0.5)]},
    {"capabilities": [offer(lease_s=MAX_LEASE_S + 1)]}, {"capabilities": [offer(lease_s="1m")]},
    {"capabilities": [offer(prioritty=1)]}, {"capabilities": [offer()], "lease_s": 1},
]  # fmt: skip


@pytest.mark.parametrize("more", BAD_OFFERS)
@pytest.mark.parametrize("action", ["register", "modify"])
async def test_what_cannot_be_registered_is_refused_and_changes_nothing(
    office: Office, action: str, more: dict[str, object]
) -> None:
    assert office.refused("a", action, **more) == ("refuse", "INVALID_ARGUMENT")
    assert (office.offers("a"), office.receiver.kv) == ({}, {})


@pytest.mark.parametrize(
    "more", [{"max_results": 0}, {"max_results": MAX_RESULTS + 1}, {"capability": 1}, {"names": "a"}, {"properties": 1}]
)
async def test_search_that_makes_no_sense_is_refused(office: Office, more: dict[str, object]) -> None:
    assert office.refused("a", "search", **more) == ("refuse", "INVALID_ARGUMENT")


async def test_long_text_of_a_mistake_is_not_repeated_in_full(office: Office) -> None:
    _, content = office.told("a", "search", **{"x" * 100_000: 1})
    assert len(content["reason"]) < 500
    act, content = office.told("a", "deregister", capabilities=["x" * 100_000] * 5)
    assert (act, len(str(content)) < 500) == ("failure", True)


async def test_content_that_is_nested_deeply_is_answered(office: Office) -> None:
    deep: object = 1
    for _ in range(60):
        deep = {"x": deep}
    assert office.told("a", "register", capabilities=[offer(properties={"deep": deep})])[0] == "inform"


@pytest.mark.parametrize("action", ["register", "modify", "deregister"])
async def test_agent_may_register_itself_only_and_a_client_nobody(office: Office, action: str) -> None:
    office.told("b", "register", capabilities=[offer()])
    more = {"capabilities": ["sorting"] if action == "deregister" else [offer(priority=1)]}
    assert office.refused("a", action, agent="b", **more) == ("refuse", "NOT_AUTHORISED")
    office.rig.post("df", {"action": action, **more}, performative="request", reply_to="a")
    office.rig.pump()
    assert office.receiver.failed == 0
    answer = office.agents["a"].handler.delivered[-1]
    assert (answer.performative, msgspec.json.decode(answer.content)["error"]) == ("refuse", "NOT_AUTHORISED")
    assert (office.offers("a"), office.offers("b")) == ({}, {"sorting": 50})


async def test_what_is_registered_already_or_not_at_all_is_a_failure_that_names_it(office: Office) -> None:
    office.told("a", "register", capabilities=[offer("x"), offer("y")])
    assert office.told("a", "register", capabilities=[offer("z"), offer("x")]) == (
        "failure",
        {"error": "ALREADY_REGISTERED", "reason": "'modify' changes what is registered", "capabilities": ["x"]},
    )
    for action, more in (("modify", [offer("x", priority=1), offer("z")]), ("deregister", ["x", "z"])):
        act, content = office.told("a", action, capabilities=more)
        assert (act, content["error"], content["capabilities"]) == ("failure", "NOT_REGISTERED", ["z"])
    assert office.refused("b", "deregister") == ("failure", "NOT_REGISTERED")
    assert office.offers("a") == {"x": 50, "y": 50}


async def test_agent_may_not_register_more_than_its_share(office: Office) -> None:
    many = [offer(f"c{n}") for n in range(MAX_REGISTRATIONS)]
    assert office.told("a", "register", capabilities=many)[0] == "inform"
    assert office.refused("a", "register", capabilities=[offer("one-more")]) == ("refuse", "TOO_MANY_REGISTRATIONS")
    office.told("a", "deregister", capabilities=["c0"])
    assert office.told("a", "register", capabilities=[offer("one-more")])[0] == "inform"


async def test_directory_that_is_full_takes_all_of_it_or_nothing(office: Office) -> None:
    office.told("a", "register", capabilities=[offer("old", properties={"x": 1})])
    kv = dict(office.receiver.kv)
    office.receiver.put(b"filler", b"x" * 1000)
    office.receiver.kv_bytes = MAX_KV_BYTES - 200
    big = {"x": "y" * 1000}
    assert office.refused("a", "register", capabilities=[offer("small"), offer("big", properties=big)]) == (
        "failure", "DIRECTORY_FULL"
    )  # fmt: skip
    assert office.refused("a", "modify", capabilities=[offer("old", properties=big)]) == ("failure", "DIRECTORY_FULL")
    office.receiver.put(b"filler", None)
    assert (office.receiver.kv, office.offers("a")) == (kv, {"old": 50})


# --- what it is for ----------------------------------------------------------------------------------------------


async def test_what_an_agent_registers_can_be_found_addressed_changed_and_taken_back(office: Office) -> None:
    assert office.told("a", "register", capabilities=[offer(priority=80, properties={"lang": "fr", "fast": True})]) == (
        "inform", {"action": "register", "agent": "a", "capabilities": ["sorting"]}
    )  # fmt: skip
    act, content = office.told("b", "search", capability="sorting")
    assert (act, content) == (
        "inform",
        {
            "action": "search", "complete": True,
            "result": [
                {
                    "agent": "a", "capability": "sorting", "priority": 80, "health": "healthy", "load": 0.0,
                    "registered": True, "properties": {"lang": "fr", "fast": True},
                }
            ],
        },
    )  # fmt: skip
    assert office.facilitator.properties("a", "sorting") == {"lang": "fr", "fast": True}
    office.told("a", "modify", capabilities=[offer(priority=1)])
    assert (office.offers("a"), office.facilitator.properties("a", "sorting")) == ({"sorting": 1}, {})
    office.rig.post("", 1, capability="sorting", performative="inform")
    assert office.agents["a"].receiver.messages == 1
    office.rig.pump()
    assert office.told("a", "deregister") == ("inform", {"action": "deregister", "agent": "a", "capabilities": []})
    assert (office.offers("a"), office.receiver.kv, office.found("b", capability="sorting")) == ({}, {}, [])


async def test_priority_that_is_registered_counts_until_it_is_taken_back(office: Office) -> None:
    office.agent("c", sorting=10)
    office.told("c", "register", capabilities=[offer(priority=90)])
    assert office.offers("c") == {"sorting": 90}
    office.told("c", "deregister", capabilities=["sorting"])
    assert office.offers("c") == {"sorting": 10}


async def test_search_finds_by_capability_agent_and_properties_the_highest_priority_first(office: Office) -> None:
    office.agent("c", sorting=60, ranking=1)
    office.told("a", "register", capabilities=[offer(properties={"lang": "fr", "level": 1}), offer("x")])
    office.told("b", "register", capabilities=[offer(priority=70, properties={"lang": "de", "level": True})])
    assert office.found("a", capability="sorting") == [("b", "sorting"), ("c", "sorting"), ("a", "sorting")]
    assert office.found("b", agent="a") == [("a", "sorting"), ("a", "x")]
    assert office.found("b", agent="a", capability="sorting") == [("a", "sorting")]
    assert office.found("b", capability="sorting", properties={"lang": "fr"}) == [("a", "sorting")]
    assert office.found("b", properties={"level": 1}) == [("a", "sorting")]
    assert office.found("b", properties={"level": True}) == [("b", "sorting")]
    assert office.found("b", properties={"lang": "it"}) == office.found("b", agent="nobody") == []
    assert len(office.found("b")) == 5


async def test_search_gives_no_more_than_asked_for_and_says_that_there_is_more(office: Office) -> None:
    office.agent("c", **{f"c{n}": 1 for n in range(MAX_RESULTS + 1)})
    assert len(office.found("a")) == MAX_RESULTS
    act, content = office.told("a", "search", agent="c", max_results=2)
    assert (act, len(content["result"]), content["complete"]) == ("inform", 2, False)
    assert office.told("a", "search", agent="c", capability="c1", max_results=1)[1]["complete"]


async def test_search_looks_at_so_many_only(office: Office) -> None:
    office.agent("c", **{f"c{n}": 1 for n in range(MAX_LOOKED_AT)})
    assert office.told("a", "search", properties={"x": 1})[1] == {"action": "search", "result": [], "complete": True}
    office.agent("d", one_more=1)
    assert office.told("a", "search", properties={"x": 1})[1]["complete"] is False


async def test_who_asked_for_what_nobody_offers_hears_of_it_with_the_nearest_names(office: Office) -> None:
    office.agent("c", sorting=1)
    for more in ({}, {"reply_to": "b", "protocol": "fipa-request"}):
        answer = office.ask("a", 1, receiver="", capability="sortng", **more)
        assert answer is not None
        assert (answer.performative, msgspec.json.decode(answer.content)) == (
            "failure", {"error": "CAPABILITY_NOT_FOUND", "capability": "sortng", "nearest": ["sorting"]}
        )  # fmt: skip


# --- durability --------------------------------------------------------------------------------------------------


async def test_registrations_outlive_a_crash_and_those_of_agents_that_are_gone_do_not(office: Office) -> None:
    for name in ("a", "b"):
        office.told(name, "register", capabilities=[offer(priority=77, properties={"by": name}, lease_s=1000)])
    await office.rig.commit()
    office.rig.close()
    again = Office(Rig(office.rig.path, office.rig.clock))
    again.agent("a", ranking=1)
    again.rig.load()
    again.open()
    assert again.offers("a") == {"ranking": 1, "sorting": 77}
    assert again.facilitator.properties("a", "sorting") == {"by": "a"}
    await again.rig.commit()
    assert [bytes(key) for (key,) in again.rig.rows("SELECT key FROM kv")] == [b"offer/a/sorting"]
    await again.rig.later(1002)
    assert again.offers("a") == {"ranking": 1}
    again.rig.close()


async def test_answer_that_finds_no_room_registers_nothing_until_it_does(office: Office) -> None:
    full = office.rig.receiver("full", max_messages=1)
    office.rig.post("full", 0)
    office.rig.post("a", {"performative": "request", "content": {"action": "register", "capabilities": [offer()]},
                          "reply_to": "full"})  # fmt: skip
    office.rig.pump()
    assert (office.offers("a"), office.receiver.kv) == ({}, {})
    office.rig.start(full)
    office.rig.pump()
    await office.rig.later(60)
    assert (office.offers("a"), len(office.receiver.kv)) == ({"sorting": 50}, 1)
    assert [message.performative for message in full.handler.delivered] == ["inform", "inform"]


async def test_registrations_of_a_removed_agent_go_with_it_in_one_commit(office: Office) -> None:
    office.told("a", "register", capabilities=[offer()])
    office.told("b", "register", capabilities=[offer()])
    await office.rig.commit()
    office.rig.bus.names.remove(office.agents["a"].receiver)
    office.facilitator.forget("a")
    office.rig.journal.touch()
    statements = await office.rig.commit()
    assert sum("DELETE FROM kv" in sql for sql, _ in statements) == 2  # its own state, and what the directory had of it
    assert office.rig.journal.commits == 2
    assert [bytes(key) for (key,) in office.rig.rows("SELECT key FROM kv")] == [b"offer/b/sorting"]
    assert office.found("b", capability="sorting") == [("b", "sorting")]
    office.agent("a")
    assert office.offers("a") == {}


# --- leases ------------------------------------------------------------------------------------------------------


async def test_lease_ends_and_can_be_renewed_before(office: Office) -> None:
    office.told("a", "register", capabilities=[offer(lease_s=10), offer("for-ever")])
    office.told("b", "register", capabilities=[offer(lease_s=100)])
    await office.rig.later(8)
    assert office.offers("a") == {"sorting": 50, "for-ever": 50}
    office.told("a", "modify", capabilities=[offer(lease_s=10)])
    await office.rig.later(8)
    assert office.offers("a") == {"sorting": 50, "for-ever": 50}
    await office.rig.later(4)
    assert (office.offers("a"), office.offers("b")) == ({"for-ever": 50}, {"sorting": 50})
    await office.rig.later(100)
    assert (office.offers("b"), office.receiver.timers) == ({}, {})
    assert sorted(office.receiver.kv) == [b"offer/a/for-ever"]


async def test_very_many_leases_take_one_timer_and_later_ones_do_not_put_off_earlier_ones(office: Office) -> None:
    for n in range(20):
        office.told("a", "register", capabilities=[offer(f"c{n}", lease_s=10 - n / 10)])
        assert len(office.receiver.timers) == 1
    for _ in range(30):
        await office.rig.later(0.5)
        office.told("b", "register", capabilities=[offer(lease_s=1)])
        office.told("b", "deregister")
        assert len(office.receiver.timers) == 1
    assert office.offers("a") == {}
    assert office.receiver.failed == 0
    await office.rig.later(2 * LEASE_STEP_US / 1e6)
    assert office.receiver.timers == {}
