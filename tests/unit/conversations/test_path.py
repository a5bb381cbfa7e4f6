from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.conversations.facts import AgentFacts, MessageFacts, Wait
from caxton.conversations.path import MAX_DEPTH, MAX_PATHS, describe_deadlocks, why

if TYPE_CHECKING:
    from caxton.core.views.waits import CriticalPath, WaitPath

S = 1_000_000
NOW = 100 * S
IDLE = AgentFacts(status="running", circuit="closed")
NOBODY = AgentFacts(status=None)


@dataclass
class Told:
    """A situation that is told wait by wait. Agents are idle unless said otherwise."""

    waits: list[Wait] = field(default_factory=list[Wait])
    parents: dict[str, str] = field(default_factory=dict[str, str])
    agents: dict[str, AgentFacts] = field(default_factory=dict[str, AgentFacts])

    def add(
        self, conversation: str | None, waiter: str, waited: str, *, since_s: int = 50, state: str = "requested",
        deadline_s: int | None = None,
    ) -> Told:  # fmt: skip
        deadline_us = None if deadline_s is None else deadline_s * S
        wait = Wait(
            waiter=waiter, waited=waited, conversation_id=conversation, protocol="fipa-request", state=state,
            since_us=since_s * S, deadline_us=deadline_us,
        )  # fmt: skip
        self.waits.append(wait)
        return self

    def waits_in(self, conversation_id: str) -> list[Wait]:
        return [wait for wait in self.waits if wait.conversation_id == conversation_id]

    def waits_of(self, name: str) -> list[Wait]:
        return [wait for wait in self.waits if wait.waiter == name]

    def parent_of(self, conversation_id: str) -> str | None:
        return self.parents.get(conversation_id)

    def agent(self, name: str) -> AgentFacts:
        return self.agents.get(name, NOBODY if name.startswith("client:") else IDLE)


def ask(told: Told, conversation: str = "X", *, status: str = "open") -> CriticalPath:
    return why(conversation, "fipa-request", status, told, [], NOW)


def names(path: WaitPath) -> list[str]:
    return [path.waits[0].waiter, *(wait.waits_for for wait in path.waits)]


def kinds(found: CriticalPath) -> list[tuple[list[str], str]]:
    return [(names(path), path.cause.kind) for path in found.paths]


# --- what it waits for now ---------------------------------------------------------------------------------------


def test_path_leads_from_the_initiator_over_a_nested_conversation_to_the_agent_that_is_stopped() -> None:
    told = Told(parents={"Y": "X"}, agents={"db": AgentFacts(status="stopped", mailbox_messages=3)})
    told.add("X", "manager", "bidder-3", state="agreed", since_s=80, deadline_s=117).add(
        "Y", "bidder-3", "db", since_s=91
    )
    (path,) = ask(told).paths
    first, second = path.waits
    assert (first.waiter, first.waits_for, first.state, first.waited_s) == ("manager", "bidder-3", "agreed", 20.0)
    assert (first.deadline, first.deadline_in_s) == ("1970-01-01T00:01:57.000+00:00", 17.0)
    assert (second.conversation_id, second.waits_for, second.waited_s, second.deadline_in_s) == ("Y", "db", 9.0, None)
    assert (path.cause.agent, path.cause.kind, path.cause.text) == ("db", "not-running", "stopped, 3 messages wait")


@pytest.mark.parametrize(
    ("facts", "kind", "text"),
    [
        (AgentFacts(status=None), "gone", "no agent has this name"),
        (AgentFacts(status="failed", mailbox_messages=1), "not-running", "failed, 1 message waits"),
        (
            AgentFacts(status="running", circuit="open", mailbox_messages=2),
            "circuit-open",
            "failed too often, its circuit is open, 2 messages wait",
        ),
        (
            AgentFacts(status="running", busy_since_us=97 * S, mailbox_messages=2, circuit="closed"),
            "busy",
            "busy for 3 s, 2 messages wait",
        ),
        (AgentFacts(status="running", mailbox_messages=2, circuit="closed"), "mail-waits", "2 messages wait"),
        (IDLE, "idle", "has no mail and waits for nobody; it has not answered"),
    ],
)
def test_cause_tells_what_the_last_agent_does(facts: AgentFacts, kind: str, text: str) -> None:
    (path,) = ask(Told(agents={"b": facts}).add("X", "a", "b")).paths
    assert (path.cause.agent, path.cause.kind, path.cause.text) == ("b", kind, text)


def test_somebody_outside_is_a_cause_of_its_own() -> None:
    (path,) = ask(Told().add("X", "a", "client:ada")).paths
    assert (path.cause.kind, path.cause.status) == ("outside", None)


def test_what_an_agent_that_cannot_go_on_waits_for_is_not_its_reason() -> None:
    told = Told(agents={"b": AgentFacts(status="stopped")}).add("X", "a", "b").add("Y", "b", "c")
    told.parents["Y"] = "X"
    assert kinds(ask(told)) == [(["a", "b"], "not-running")]


def test_waits_in_nested_conversations_come_before_unrelated_ones() -> None:
    told = Told(parents={"Y": "M", "M": "X"}).add("X", "a", "b")
    told.add("Z", "b", "z", since_s=1).add("Y", "b", "y", since_s=60)
    assert kinds(ask(told)) == [(["a", "b", "y"], "idle")]


def test_unrelated_wait_is_followed_only_if_the_agent_has_nothing_to_do() -> None:
    told = Told().add("X", "a", "b").add("Z", "b", "z")
    assert kinds(ask(told)) == [(["a", "b", "z"], "idle")]
    told.agents["b"] = AgentFacts(status="running", mailbox_messages=1)
    assert kinds(ask(told)) == [(["a", "b"], "mail-waits")]


def test_branch_that_waits_longest_comes_first_at_every_step() -> None:
    told = Told(parents={"Y": "X"}).add("X", "a", "b", since_s=50).add("X", "a", "c", since_s=40)
    told.add("Y", "c", "d", since_s=70).add("Y", "c", "e", since_s=60)
    assert [names(path) for path in ask(told).paths] == [["a", "c", "e"], ["a", "c", "d"], ["a", "b"]]


def test_who_waits_for_somebody_on_another_path_begins_none() -> None:
    told = Told().add("X", "bidder-1", "manager", since_s=10).add("X", "manager", "bidder-2", since_s=20)
    assert [names(path) for path in ask(told).paths] == [["manager", "bidder-2"]]


def test_wait_for_one_that_is_stopped_begins_a_path_though_that_one_waits_too() -> None:
    told = Told(agents={"manager": AgentFacts(status="stopped")})
    told.add("X", "bidder-1", "manager", since_s=10).add("X", "manager", "bidder-2", since_s=20)
    assert kinds(ask(told)) == [(["bidder-1", "manager"], "not-running"), (["manager", "bidder-2"], "idle")]


def test_cycle_over_conversations_is_named_and_followed_once() -> None:
    told = Told(parents={"Y": "X", "Z": "Y"}).add("X", "a", "b").add("Y", "b", "c").add("Z", "c", "b")
    (path,) = ask(told).paths
    assert (names(path), path.cause.kind) == (["a", "b", "c", "b"], "cycle")
    assert path.cause.cycle == ["b", "c"]
    assert path.cause.text == "a cycle: b → c → b"


def test_cycle_within_one_conversation_begins_with_its_oldest_wait() -> None:
    told = Told().add("X", "a", "b", since_s=20).add("X", "b", "a", since_s=10).add("X", "c", "d", since_s=30)
    found = ask(told)
    assert [(path.cause.cycle, names(path)) for path in found.paths] == [
        (["b", "a"], ["b", "a", "b"]),
        ([], ["c", "d"]),
    ]


def test_path_ends_at_the_greatest_depth_and_says_so() -> None:
    told = Told()
    for index in range(MAX_DEPTH + 5):
        told.add("X" if index == 0 else f"Y{index}", f"n{index:03}", f"n{index + 1:03}")
    (path,) = ask(told).paths
    assert (len(path.waits), path.cause.kind) == (MAX_DEPTH, "too-deep")


def test_path_that_just_fits_has_its_real_cause() -> None:
    told = Told()
    for index in range(MAX_DEPTH):
        told.add("X" if index == 0 else f"Y{index}", f"n{index:03}", f"n{index + 1:03}")
    (path,) = ask(told).paths
    assert (len(path.waits), path.cause.kind) == (MAX_DEPTH, "idle")


def test_of_many_paths_the_first_are_shown_and_the_others_counted() -> None:
    told = Told()
    for index in range(MAX_PATHS + 7):
        told.add("X", "manager", f"bidder-{index:03}", since_s=index)
    found = ask(told)
    assert [path.cause.agent for path in found.paths] == [f"bidder-{index:03}" for index in range(MAX_PATHS)]
    assert found.more == 7


def test_web_of_waits_ends_soon_however_many_paths_it_has() -> None:
    told = Told()
    told.add("X", "a", "n0-0")
    for layer, index, after in ((layer, index, after) for layer in range(20) for index in "01" for after in "01"):
        told.add("Y", f"n{layer}-{index}", f"n{layer + 1}-{after}")
    found = ask(told)
    assert (len(found.paths), found.more > 0) == (MAX_PATHS, True)


def test_conversation_in_which_nobody_waits_has_no_path() -> None:
    found = ask(Told().add("Y", "a", "b"))
    assert (found.paths, found.more, found.waits, found.duration_s) == ([], 0, [], 0.0)


def test_conversation_that_has_ended_waits_for_nobody() -> None:
    assert ask(Told().add("X", "a", "b"), status="ended").paths == []


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"), st.sampled_from("XYZ")), max_size=12))
def test_every_path_is_a_chain_of_waits_that_ends_in_a_cause(waits: list[tuple[str, str, str]]) -> None:
    told = Told()
    for index, (waiter, waited, conversation) in enumerate(waits):
        told.add(conversation, waiter, waited, since_s=index)
    found = ask(told)
    assert bool(found.paths) == any(conversation == "X" for *_, conversation in waits)
    real = {*waits}
    for path in found.paths:
        assert {(one.waiter, one.waits_for, one.conversation_id) for one in path.waits} <= real
        assert all(one.waits_for == after.waiter for one, after in pairwise(path.waits))
        assert path.waits[0].conversation_id == "X"
        assert path.cause.agent == path.waits[-1].waits_for
        waiters = [wait.waiter for wait in path.waits]
        assert (path.cause.kind == "cycle") == (path.cause.agent in waiters)
        assert len({*waiters}) == len(waiters)


# --- deadlocks ---------------------------------------------------------------------------------------------------


def test_deadlock_is_told_with_its_waits_and_since_the_last_of_them() -> None:
    told = Told().add("X", "a", "b", since_s=10, deadline_s=300).add("Y", "b", "a", since_s=30, deadline_s=200)
    told.add("W", "a", "b", since_s=20)
    (deadlock,) = describe_deadlocks([["a", "b"]], told, NOW)
    assert (deadlock.cycle, [wait.conversation_id for wait in deadlock.waits]) == (["a", "b"], ["X", "Y"])
    assert deadlock.since == "1970-01-01T00:00:30.000+00:00"
    assert deadlock.deadline == "1970-01-01T00:03:20.000+00:00"


def test_deadlock_is_told_also_if_little_is_known_of_its_waits() -> None:
    (half,) = describe_deadlocks([["a", "b"]], Told().add("X", "a", "b", since_s=10), NOW)
    assert (half.cycle, len(half.waits), half.since) == (["a", "b"], 1, "1970-01-01T00:00:10.000+00:00")
    (none,) = describe_deadlocks([["a", "b"]], Told(), NOW)
    assert (none.cycle, none.waits, none.since, none.deadline) == (["a", "b"], [], None, None)


def test_parent_of_a_conversation_is_looked_up_once() -> None:
    looked: list[str] = []

    class Slow(Told):
        def parent_of(self, conversation_id: str) -> str | None:
            looked.append(conversation_id)
            return super().parent_of(conversation_id)

    told = Slow(parents={"Y": "X"})
    for name in "bcd":
        told.add("X", "a", name).add("Y", name, "z")
    assert len(ask(told).paths) == 3
    assert looked == ["Y"]


# --- what its time went into -------------------------------------------------------------------------------------


def message(
    at_s: float, sender: str, *receivers: str, act: str = "inform", silent: tuple[str, ...] = ()
) -> MessageFacts:
    return MessageFacts(
        message_id=f"m-{at_s:g}", sender=sender, receivers=receivers, performative=act, at_us=int(at_s * S),
        silent=silent,
    )  # fmt: skip


def past(*messages: MessageFacts) -> CriticalPath:
    return why("X", "fipa-contract-net", "ended", Told(), messages, NOW)


def steps(found: CriticalPath) -> list[tuple[str, list[str], float]]:
    return [(wait.waiter, wait.waited_for, wait.waited_s) for wait in found.waits]


def test_time_of_a_call_for_proposals_is_that_of_the_last_bid_and_of_the_work() -> None:
    found = past(
        message(0, "m", "b1", "b2", act="cfp"),
        message(1, "b1", "m", act="propose"),
        message(9, "b2", "m", act="propose"),
        message(9.5, "m", "b1", act="accept-proposal"),
        message(9.5, "m", "b2", act="reject-proposal"),
        message(12, "b1", "m", act="inform"),
    )
    assert steps(found) == [("m", ["b2"], 9.0), ("b1", ["m"], 0.5), ("m", ["b1"], 2.5)]
    assert [wait.performative for wait in found.waits] == ["propose", "accept-proposal", "inform"]
    assert (found.duration_s, found.paths) == (12.0, [])
    assert found.by_agent == {"b2": 9.0, "b1": 2.5, "m": 0.5}
    assert [*found.by_agent] == ["b2", "b1", "m"]


def test_time_until_a_deadline_counts_for_those_who_were_silent() -> None:
    found = past(
        message(0, "m", "b1", "b2", "b3", act="cfp"),
        message(1, "b1", "m", act="propose"),
        message(10, "ams", "m", act="failure", silent=("b2", "b3")),
        message(10, "m", "b1", act="accept-proposal"),
    )
    assert steps(found) == [("m", ["b2", "b3"], 10.0), ("b1", ["m"], 0.0)]
    assert found.by_agent == {"b2": 10.0, "b3": 10.0, "m": 0.0}


def test_agent_that_goes_on_of_its_own_accord_is_waited_for_since_it_last_spoke() -> None:
    found = past(message(0, "a", "b"), message(4, "a", "b"))
    assert steps(found) == [("b", ["a"], 4.0)]


@pytest.mark.parametrize("messages", [[], [message(3, "a", "b")]])
def test_conversation_of_no_answer_took_no_time(messages: list[MessageFacts]) -> None:
    found = past(*messages)
    assert (found.waits, found.duration_s, found.by_agent) == ([], 0.0, {})


PEOPLE = st.sampled_from(["a", "b", "c", "ams", "client:ada"])


@given(st.lists(st.tuples(st.integers(0, 5), PEOPLE, st.lists(PEOPLE, max_size=3)), min_size=1, max_size=30))
def test_waits_of_the_past_cover_the_whole_duration_in_order(said: list[tuple[int, str, list[str]]]) -> None:
    at_s = 0
    messages: list[MessageFacts] = []
    for pause_s, sender, receivers in said:
        at_s += pause_s
        messages.append(message(at_s, sender, *receivers))
    found = past(*messages)
    assert sum(wait.waited_s for wait in found.waits) == pytest.approx(found.duration_s)
    assert [wait.since for wait in found.waits] == sorted(wait.since for wait in found.waits)
