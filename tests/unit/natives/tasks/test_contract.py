from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.natives.tasks.bid import Rule
from caxton.natives.tasks.contract import (
    MAX_REFERENCE_CHARS,
    CancelAsked,
    Contract,
    ConversationEnded,
    Due,
    Event,
    Heard,
    Instruction,
    Keep,
    Learn,
    Lost,
    Outlook,
    Say,
    absent,
    begin,
    on_event,
)
from caxton.natives.tasks.record import NEWCOMER
from tests.unit.natives.tasks import oracle

if TYPE_CHECKING:
    from collections.abc import Callable

T0 = 1_800_000_000_000_000
CALL_US, WORK_US = 30_000_000, 300_000_000


class Net:
    """One contract, and everything it asked for, by event."""

    def __init__(self, *names: str, rule: Rule | None = None, is_there: Callable[[str], bool] = lambda _: True) -> None:
        self.now_us = T0
        self.outlook = Outlook(lambda _: NEWCOMER, is_there)
        self.contract, self.said = begin(list(names), rule or Rule(), now_us=T0, call_us=CALL_US, work_us=WORK_US)

    def event(self, event: Event) -> list[Instruction]:
        self.contract, instructions = on_event(self.contract, event, self.outlook)
        self.said += instructions
        return instructions

    def hear(self, name: str, act: str, content: object = None, reply_with: str = "") -> list[Instruction]:
        self.now_us += 1000
        return self.event(Heard(name, act, msgspec.json.encode(content), reply_with, self.now_us))

    def propose(self, name: str, cost: float, reply_with: str = "") -> list[Instruction]:
        return self.hear(name, "propose", {"cost": cost}, reply_with)

    def due(self) -> list[Instruction]:
        self.now_us = self.contract.due_us
        return self.event(Due(self.now_us))

    def cancel(self, reason: str = "not needed") -> list[Instruction]:
        return self.event(CancelAsked(self.now_us, reason))

    @property
    def states(self) -> dict[str, str]:
        return {name: bidder.state for name, bidder in self.contract.bidders.items()}

    @property
    def answers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in self.said:
            if isinstance(one, Say) and one.act != "cfp":
                found.setdefault(one.name, []).append(f"{one.act} {one.reason}".strip())
        return found


def awarded(*names: str) -> Net:
    """The first of `names` was cheapest and has the task."""
    net = Net(*names)
    for cost, name in enumerate(names):
        net.propose(name, cost)
    return net


# --- the call ----------------------------------------------------------------------------------------------------


def test_everybody_is_called_once() -> None:
    net = Net("a", "b")
    assert net.said == [Say("a", "cfp"), Say("b", "cfp")]
    assert (net.contract.state, net.contract.due_us) == ("calling", T0 + CALL_US)


def test_nothing_is_awarded_while_somebody_may_still_propose() -> None:
    net = Net("a", "b")
    assert net.propose("a", 1) == []
    assert net.contract.state == "calling"


def test_the_award_is_made_as_soon_as_all_have_answered() -> None:
    net = Net("a", "b", "c")
    net.propose("a", 5, "ra")
    net.hear("c", "refuse", {"reason": "busy"})
    assert net.propose("b", 3, "rb") == [
        Say("b", "accept-proposal", in_reply_to="rb"),
        Say("a", "reject-proposal", "outbid", "another proposal was better", "ra"),
    ]
    assert net.contract.state == "awarded"
    assert net.contract.due_us == net.now_us + WORK_US
    assert net.contract.bidders["c"].reason == "busy"


def test_the_award_is_made_at_the_deadline_among_those_who_proposed() -> None:
    net = Net("a", "b", "silent")
    net.propose("a", 5)
    net.propose("b", 3)
    net.due()
    assert net.answers == {"b": ["accept-proposal"], "a": ["reject-proposal outbid"]}
    assert net.states == {"a": "rejected", "b": "accepted", "silent": "silent"}


def test_several_may_win_and_never_more_than_asked_for() -> None:
    net = Net("a", "b", "c", rule=Rule(winners=2))
    for name, cost in (("a", 5), ("b", 3), ("c", 4)):
        net.propose(name, cost)
    assert net.answers == {"a": ["reject-proposal outbid"], "b": ["accept-proposal"], "c": ["accept-proposal"]}


def test_a_late_proposal_is_rejected_with_that_reason_and_only_once() -> None:
    net = Net("a", "b")
    net.propose("a", 5)
    net.due()
    assert net.propose("b", 1, "rb") == [Say("b", "reject-proposal", "late", "the time for proposals was over", "rb")]
    assert net.propose("b", 1) == []
    assert net.answers["a"] == ["accept-proposal"]


def test_a_late_proposal_is_rejected_after_the_end_too() -> None:
    net = Net("a")
    net.due()
    assert net.contract.state == "no-bids"
    net.propose("a", 1)
    assert net.answers == {"a": ["reject-proposal late"]}
    assert net.contract.state == "no-bids"


def test_who_refuses_late_has_refused() -> None:
    net = Net("a", "b")
    net.propose("a", 5)
    net.due()
    assert net.hear("b", "refuse", {"reason": "busy"}) == []
    assert net.propose("b", 1) == []
    assert net.states["b"] == "refused"


def test_a_second_proposal_changes_nothing() -> None:
    net = Net("a", "b")
    net.propose("a", 5)
    assert net.propose("a", 1) == []
    net.propose("b", 3)
    assert net.answers == {"a": ["reject-proposal outbid"], "b": ["accept-proposal"]}
    assert net.contract.bidders["a"].figures == {"cost": 5.0}


@pytest.mark.parametrize(
    ("content", "reason"), [({"cost": 11}, "over-budget"), ({"cost": "x"}, "malformed"), (None, "malformed")]
)
def test_a_proposal_that_cannot_win_is_rejected_at_once_with_the_reason(content: object, reason: str) -> None:
    net = Net("a", "b", rule=Rule(max_cost=10))
    (answer,) = net.hear("a", "propose", content, "ra")
    assert isinstance(answer, Say)
    assert (answer.act, answer.reason, answer.in_reply_to) == ("reject-proposal", reason, "ra")
    assert net.contract.bidders["a"].figures == ({"cost": 11.0} if reason == "over-budget" else {})
    net.propose("b", 9)
    assert net.answers == {"a": [f"reject-proposal {reason}"], "b": ["accept-proposal"]}


def test_a_reference_that_is_too_long_to_be_kept_makes_a_proposal_malformed() -> None:
    net = Net("a")
    net.propose("a", 1, "x" * (MAX_REFERENCE_CHARS + 1))
    assert net.answers == {"a": ["reject-proposal malformed"]}


@pytest.mark.parametrize("act", ["refuse", "not-understood", "failure"])
def test_without_any_proposal_the_task_ends_and_says_how_many_did_what(act: str) -> None:
    net = Net("a", "b", "c")
    net.hear("a", act)
    net.due()
    assert net.contract.state == "no-bids"
    assert net.contract.reason == "nobody made a proposal that can win: 1 refused, 2 silent"
    assert (net.contract.due_us, net.answers) == (0, {})


def test_a_bidder_that_takes_its_proposal_back_as_not_understood_is_not_awarded() -> None:
    net = Net("a", "b")
    net.propose("a", 1)
    net.hear("a", "not-understood", {"reason": "what"})
    net.propose("b", 3)
    assert net.answers == {"b": ["accept-proposal"]}


def test_a_bidder_that_is_gone_at_the_award_does_not_win() -> None:
    net = Net("a", "b", is_there=lambda name: name != "a")
    net.propose("a", 1)
    net.propose("b", 2)
    assert net.answers == {"b": ["accept-proposal"]}
    assert net.states["a"] == "absent"


def test_who_could_not_be_called_is_not_waited_for() -> None:
    net = Net("a", "b")
    net.contract = absent(net.contract, "a", "its mailbox is full")
    net.propose("b", 2)
    assert net.contract.state == "awarded"


def test_strangers_and_acts_out_of_place_change_nothing() -> None:
    net = Net("a", "b")
    net.propose("a", 1)
    before = net.contract
    for name, act in (("stranger", "propose"), ("a", "inform"), ("b", "agree"), ("b", "inform"), ("a", "refuse")):
        assert net.hear(name, act, {"cost": 0}) == []
    assert net.contract is before


# --- the result --------------------------------------------------------------------------------------------------


def test_the_result_ends_the_task_and_is_compared_with_the_promise() -> None:
    net = Net("a")
    net.hear("a", "propose", {"cost": 4, "time_s": 1})
    net.now_us += 2_000_000 - 1000
    assert net.hear("a", "inform", {"answer": 42, "cost": 6}) == [
        Keep("a"),
        Learn("a", {"cost": 4.0, "time_s": 1.0}, {"cost": 6.0, "time_s": 2.0}, net.now_us),
    ]
    assert (net.contract.state, net.contract.reason, net.contract.due_us) == ("done", "", 0)


def test_a_result_may_be_anything() -> None:
    net = awarded("a")
    keep, learn = net.hear("a", "inform", [1, 2])
    assert keep == Keep("a")
    assert isinstance(learn, Learn)
    assert learn.actual is not None
    assert net.contract.state == "done"


@pytest.mark.parametrize("act", ["failure", "refuse", "not-understood"])
def test_a_winner_that_fails_fails_the_task_with_its_reason(act: str) -> None:
    net = awarded("a", "b")
    (learn,) = net.hear("a", act, {"reason": "no power"})
    assert learn == Learn("a", {"cost": 0.0}, None, net.now_us)
    assert (net.contract.state, net.contract.reason) == ("failed", "no power")
    assert net.answers == {"a": ["accept-proposal"], "b": ["reject-proposal outbid"]}


def test_a_failure_without_words_is_named_by_its_act() -> None:
    net = awarded("a")
    net.hear("a", "failure")
    assert net.contract.reason == "failure"


def test_a_result_after_the_result_changes_nothing() -> None:
    net = awarded("a")
    net.hear("a", "inform", 1)
    assert net.hear("a", "inform", 2) == []
    assert net.hear("a", "failure") == []
    assert net.contract.state == "done"


def test_a_winner_that_stays_silent_is_told_to_stop_and_it_counts_against_it() -> None:
    net = awarded("a", "b")
    assert net.due() == [
        Say("a", "cancel", "expired", "the time for the result is over"),
        Learn("a", {"cost": 0.0}, None, net.now_us),
    ]
    assert (net.contract.state, net.states["a"]) == ("expired", "overdue")
    assert net.hear("a", "inform", 1) == []


def test_of_two_winners_one_result_is_enough() -> None:
    net = Net("a", "b", rule=Rule(winners=2))
    net.propose("a", 1)
    net.propose("b", 2)
    net.hear("a", "failure", {"reason": "ink"})
    assert net.contract.state == "awarded"
    net.hear("b", "inform", 1)
    assert net.contract.state == "done"


def test_of_two_winners_a_failure_says_more_than_silence() -> None:
    net = Net("a", "b", rule=Rule(winners=2))
    net.propose("a", 1)
    net.propose("b", 2)
    net.hear("b", "failure", {"reason": "ink"})
    net.due()
    assert (net.contract.state, net.contract.reason) == ("failed", "ink")


# --- cancel ------------------------------------------------------------------------------------------------------


def test_cancelling_the_call_rejects_who_proposed_and_cancels_who_has_not() -> None:
    net = Net("a", "b", "c")
    net.propose("a", 1, "ra")
    net.hear("c", "refuse")
    assert net.cancel() == [
        Say("a", "reject-proposal", "cancelled", "not needed", "ra"),
        Say("b", "cancel", "cancelled", "not needed"),
    ]
    assert (net.contract.state, net.contract.reason, net.contract.due_us) == ("cancelled", "not needed", 0)
    assert net.propose("b", 1) == []  # it crossed with the cancel, which is its answer


def test_cancelling_the_work_tells_the_winner_and_nobody_else() -> None:
    net = awarded("a", "b")
    assert net.cancel("") == [Say("a", "cancel", "cancelled", "the task was cancelled")]
    assert net.hear("a", "inform", 1) == []
    assert net.contract.state == "cancelled"


def test_when_the_conversation_is_ended_by_others_the_task_is_too_and_nobody_is_told_twice() -> None:
    net = Net("a", "b")
    net.propose("a", 1)
    assert net.event(ConversationEnded(net.now_us, "by ada")) == []
    assert (net.contract.state, net.contract.reason, net.contract.due_us) == ("cancelled", "by ada", 0)
    assert net.states == {"a": "rejected", "b": "cancelled"}


def test_a_bidder_that_is_lost_is_not_waited_for_and_does_not_win() -> None:
    net = Net("a", "b", "c")
    net.propose("a", 1)
    net.event(Lost("a", "gone", net.now_us))
    net.propose("b", 2)
    assert net.event(Lost("c", "gone", net.now_us)) == [Say("b", "accept-proposal")]
    assert net.states == {"a": "absent", "b": "accepted", "c": "absent"}


def test_a_winner_that_is_lost_has_failed() -> None:
    net = awarded("a", "b")
    assert net.event(Lost("a", "gone", net.now_us)) == [Learn("a", {"cost": 0.0}, None, net.now_us)]
    assert (net.contract.state, net.contract.reason) == ("failed", "gone")
    assert net.event(Lost("a", "gone", net.now_us)) == net.event(Lost("nobody", "gone", net.now_us)) == []


def test_what_has_ended_is_not_cancelled_and_no_deadline_passes_for_it() -> None:
    net = awarded("a")
    net.hear("a", "inform", 1)
    before = net.contract
    assert net.cancel() == net.event(Due(net.now_us)) == []
    assert net.contract is before


# --- any order of events -----------------------------------------------------------------------------------------

ACTS = ("propose", "propose", "propose", "refuse", "inform", "inform", "failure", "not-understood", "agree", "cancel")
CONTENTS = ({"cost": 1}, {"cost": 2}, {"cost": 3}, {"cost": 3}, {"cost": 99}, {"cost": -1}, None)


def kept(contract: Contract) -> Contract:
    """As it comes back from disk."""
    return msgspec.json.decode(msgspec.json.encode(contract), type=Contract)


@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_everybody_gets_one_answer_and_the_best_wins(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - which run, not a secret
    names = [f"b{n}" for n in range(chance.randint(1, 7))]
    gone = {name for name in names if chance.random() < 0.05}
    rule = Rule(max_cost=50, winners=chance.choice((1, 1, 1, 2, 3)))
    net = Net(*names, rule=rule, is_there=lambda name: name not in gone)
    proposed = dict[str, float]()
    """First proposals that came while the call was open and can win."""
    late, bad = set[str](), set[str]()
    heard = set[str]()
    for _ in range(chance.randint(1, 40)):
        if chance.random() < 0.6:
            net.contract = kept(net.contract)
        state, before = net.contract.state, dict(net.states)
        roll = chance.random()
        if roll < 0.08 and net.contract.due_us:
            net.due()
        elif roll < 0.10:
            net.cancel()
        else:
            name, act, content = chance.choice(names), chance.choice(ACTS), chance.choice(CONTENTS)
            net.hear(name, act, content)
            if act == "propose" and before[name] == "called":
                cost = (content or {"cost": -1})["cost"]
                if 0 <= cost <= 50:
                    proposed[name] = cost
                else:
                    bad.add(name)
            elif act == "propose" and before[name] == "silent":
                late.add(name)
            elif act == "not-understood" and before[name] == "proposed":
                proposed.pop(name)
            heard.add(name)
        if state == "calling" and net.contract.state != "calling":
            _check_award(net, rule, {name: cost for name, cost in proposed.items() if name not in gone})
    answers = net.answers
    for name in names:
        firsts = [one for one in answers.get(name, []) if one != "cancel expired"]
        if name in late | bad:
            assert len(firsts) == 1, (name, firsts)
        elif name in proposed and net.contract.state != "calling" and name not in gone:
            # who has the task may be told later that nobody wants the result any more
            assert len([one for one in firsts if not one.startswith("cancel")]) == 1, (name, firsts)
        assert len(firsts) <= 1 or firsts == ["accept-proposal", "cancel cancelled"]
    counted = Counter(type(one) for one in net.said)
    assert counted[Keep] <= rule.winners
    assert counted[Learn] <= rule.winners
    if not net.contract.is_open:
        assert net.contract.due_us == 0
        assert not {"called", "proposed", "accepted"} & set(net.states.values())


def _check_award(net: Net, rule: Rule, proposed: dict[str, float]) -> None:
    accepted = [one.name for one in net.said if isinstance(one, Say) and one.act == "accept-proposal"]
    if net.contract.state == "cancelled":
        assert accepted == []
        return
    assert len(accepted) == min(rule.winners, len(proposed))
    assert (net.contract.state == "no-bids") == (not proposed)
    expected = (
        oracle.scores(rule.weights, {name: {"cost": cost} for name, cost in proposed.items()}, {}) if proposed else {}
    )
    assert accepted == sorted(proposed, key=lambda name: (expected[name], name))[: rule.winners]
