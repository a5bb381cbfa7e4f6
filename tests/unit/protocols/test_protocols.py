"""Each machine against a reference that was written apart from it, and the shape of its table."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.messages.performative import PERFORMATIVES
from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import (
    CANCELLED,
    CANCELLING,
    EXPIRED,
    INITIATOR,
    LATE,
    NOT_UNDERSTOOD,
    PARTICIPANT,
    REJECTED_LATE,
    START,
    Protocol,
    Role,
    after_deadline,
    allowed,
    next_to_speak,
    step,
)
from tests.unit.protocols.reference import CANCEL_ANSWERS, TEXTS, Exchange, beginning

SEQUENCES = 10_000
LONGEST = 24

ROLES: dict[str, Role] = {"i": INITIATOR, "p": PARTICIPANT}
SAID = [f"{side}:{act}" for side, act in product(ROLES, PERFORMATIVES)]
WORDS = [*SAID, "time"]

EACH = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())
COMMON_ENDS = {CANCELLED, NOT_UNDERSTOOD, EXPIRED, REJECTED_LATE}


def move(protocol: Protocol, state: str, word: str, *, answers_cancel: bool = False) -> str | None:
    """The machine's next state."""
    if word == "time":
        return after_deadline(protocol, state)
    side, act = word.split(":")
    return step(protocol, state, ROLES[side], act, answers_cancel=answers_cancel)


@cache
def legal(exchange: Exchange) -> tuple[str, ...]:
    """What the reference lets be said, without reference to a cancel."""
    return tuple(word for word in WORDS if exchange.after(word) is not None)


@cache
def leads_on(exchange: Exchange) -> tuple[str, ...]:
    """What may be said so that more can be said, beside a cancel."""
    return tuple(
        word
        for word in legal(exchange)
        if not word.endswith(":cancel") and not (judged(exchange, word) or exchange).over
    )


@cache
def judged(exchange: Exchange, word: str, answers_cancel: bool = False) -> Exchange | None:
    return exchange.after(word, answers_cancel=answers_cancel)


class Walks:
    """Random sequences through a machine and its reference, half of them legal, and where they led."""

    def __init__(self, protocol: Protocol, seed: int) -> None:
        self.moves: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self.visits: Counter[str | None] = Counter()
        self.legal = self.with_faults = 0
        self._protocol = protocol
        start = beginning(protocol.name)
        chance = random.Random(seed)  # noqa: S311
        for number in range(2 * SEQUENCES):
            name = f"{protocol.name}, sequence {number} of seed {seed}"
            if self._walk(start, chance, name, careful=number % 2 == 0):
                self.with_faults += 1
            else:
                self.legal += 1

    def _walk(self, exchange: Exchange, chance: random.Random, name: str, *, careful: bool) -> int:
        """How many words were refused."""
        protocol, state, faults = self._protocol, START, 0
        story = [f"{name}:"]
        for _ in range(chance.randint(1, LONGEST)):
            if careful and exchange.over and not exchange.owes_answer:
                break
            word, answers = self._choose(chance, state, exchange, careful=careful)
            found, expected = move(protocol, state, word, answers_cancel=answers), judged(exchange, word, answers)
            story.append(word + "!" if answers else word)
            assert (found is None) == (expected is None), (f"{state} → {found}", *story)
            if found is None or expected is None:
                self.refused[state, word] += 1
                faults += 1
                continue
            assert protocol.is_end(found) == expected.over, (f"{state} → {found}", *story)
            assert found.startswith(CANCELLING) == expected.cancelling, (f"{state} → {found}", *story)
            self.moves[state, word] += 1
            self.visits[found] += 1
            state, exchange = found, expected
        return faults

    def _choose(self, chance: random.Random, state: str, exchange: Exchange, *, careful: bool) -> tuple[str, bool]:
        """What is said next, and whether it refers to a cancel: only what is legal if `careful`."""
        may, kind = legal(exchange), chance.random()
        if exchange.owes_answer and kind < 0.15:
            return chance.choice(CANCEL_ANSWERS if careful or kind < 0.1 else SAID), True
        if not may or (not careful and kind > 0.7):
            return chance.choice(WORDS), False
        kind = chance.random()
        if kind < 0.1:  # what was seldom said here, or leads where few were, lest the far ends are never seen
            return min(may, key=lambda word: self.moves[state, word]), False
        on = leads_on(exchange) if kind < 0.9 else may
        if kind < 0.55 and on:
            return min(on, key=lambda word: self.visits[move(self._protocol, state, word)]), False
        return chance.choice(on or may), False


@cache
def walks(name: str) -> Walks:
    return Walks(PROTOCOLS[name], seed=4_026)


def table(protocol: Protocol) -> list[tuple[str, str, str]]:
    """All moves of the tables: state, what is said, next state."""
    return [
        *((state, f"i:{act}", to) for state, acts in protocol.initiator.items() for act, to in acts.items()),
        *((state, f"p:{act}", to) for state, acts in protocol.participant.items() for act, to in acts.items()),
        *((state, "time", to) for state, to in protocol.expires.items()),
    ]


def states(protocol: Protocol) -> set[str]:
    """All states of the table, ends too, without those of cancelling."""
    return {START, *protocol.ends, *protocol.turn} | {end for start, _, to in table(protocol) for end in (start, to)}


def non_final(protocol: Protocol) -> list[str]:
    """Every state in which something may be said after the beginning, cancelling included."""
    open_states = sorted(state for state in states(protocol) - {START} if not protocol.is_end(state))
    return [*open_states, *(CANCELLING + state for state in open_states)]


def test_every_protocol_has_a_reference() -> None:
    assert set(TEXTS) == set(PROTOCOLS)


# --- against the reference -------------------------------------------------------------------------------------------


@EACH
def test_random_sequences_are_judged_as_by_the_reference(protocol: Protocol) -> None:
    found = walks(protocol.name)
    assert min(found.legal, found.with_faults) > SEQUENCES * 0.9


@EACH
def test_random_sequences_try_every_state_and_take_every_move(protocol: Protocol) -> None:
    found = walks(protocol.name)
    due = {(state, word) for state, word, _ in table(protocol)}
    for state in non_final(protocol):
        due |= {(state, f"{side}:{act}") for side, role in ROLES.items() for act in allowed(protocol, state, role)}
        if state.startswith(CANCELLING):
            due.add((state, "time"))
    assert due <= set(found.moves), f"never taken: {sorted(due - set(found.moves))}"
    tried = {state for state, _ in found.refused}
    assert {START, *protocol.ends, *non_final(protocol)} <= tried, "where nothing illegal was said"


@EACH
def test_allowed_acts_are_exactly_those_that_are_accepted(protocol: Protocol) -> None:
    for state, (side, role) in product([*states(protocol), *COMMON_ENDS, *non_final(protocol)], ROLES.items()):
        accepted = sorted(act for act in PERFORMATIVES if move(protocol, state, f"{side}:{act}") is not None)
        assert list(allowed(protocol, state, role)) == accepted, f"{role} in {state}"


# --- the shape of a table --------------------------------------------------------------------------------------------


@EACH
def test_who_has_to_speak_is_said_of_every_state_that_is_no_end(protocol: Protocol) -> None:
    assert set(protocol.turn) == {state for state in states(protocol) - {START} if not protocol.is_end(state)}


@EACH
def test_who_has_to_speak_may_and_who_is_to_answer_a_cancel_has_to(protocol: Protocol) -> None:
    sides = {INITIATOR: protocol.initiator, PARTICIPANT: protocol.participant}
    for state in protocol.turn:
        role = next_to_speak(protocol, state)
        assert role == protocol.turn[state]
        assert next_to_speak(protocol, CANCELLING + state) == PARTICIPANT
        speakers = [side for side, moves in sides.items() if moves.get(state)]
        assert speakers == [role] if role else speakers, f"{state}: {speakers} may speak, {role} has to"


@EACH
def test_time_runs_out_where_the_participant_owes_the_initiator_an_answer(protocol: Protocol) -> None:
    entered_by_initiator = {to for _, word, to in table(protocol) if word.startswith("i:")}
    owing = {state for state in entered_by_initiator if protocol.turn.get(state) == PARTICIPANT}
    assert set(protocol.expires) == owing


@EACH
def test_every_state_can_be_reached(protocol: Protocol) -> None:
    reached, new = {START}, {START}
    while new:
        new = {to for state, _, to in table(protocol) if state in new} - reached
        reached |= new
    assert reached == states(protocol)


@EACH
def test_nothing_is_said_after_an_end(protocol: Protocol) -> None:
    for end in protocol.ends | COMMON_ENDS:
        assert protocol.is_end(end)
        assert next_to_speak(protocol, end) is None
        assert after_deadline(protocol, end) is None
        for role in ROLES.values():
            assert allowed(protocol, end, role) == ()
            assert not [act for act in PERFORMATIVES if step(protocol, end, role, act)]


@EACH
def test_tables_leave_what_holds_everywhere_to_the_machine(protocol: Protocol) -> None:
    assert not {word for _, word, _ in table(protocol) if word.endswith((":cancel", ":not-understood"))}
    assert not [state for state in states(protocol) if state.startswith(CANCELLING)]
    assert {act for _, word, _ in table(protocol) for act in word.split(":")[1:]} <= set(PERFORMATIVES)
    assert protocol.third_party <= set(PERFORMATIVES)


@EACH
def test_only_the_initiator_begins(protocol: Protocol) -> None:
    assert allowed(protocol, START, INITIATOR) == tuple(sorted(protocol.openings))
    assert allowed(protocol, START, PARTICIPANT) == ()


ANYWHERE = st.sampled_from([(protocol, state) for protocol in PROTOCOLS.values() for state in non_final(protocol)])


@given(ANYWHERE, st.lists(st.tuples(st.sampled_from(WORDS), st.booleans()), max_size=6))
def test_after_a_deadline_nobody_waits_for_the_participant(
    where: tuple[Protocol, str], said: list[tuple[str, bool]]
) -> None:
    protocol, state = where
    for word, answers in said:
        state = move(protocol, state, word, answers_cancel=answers) or state
    late = after_deadline(protocol, state)
    assert late is None or next_to_speak(protocol, late) != PARTICIPANT


# --- single promises -------------------------------------------------------------------------------------------------


def told(name: str, *words: str) -> str | None:
    """The state after all that was said (`!`: in reply to the cancel); None when one of it was refused."""
    state: str | None = START
    for word in words:
        state = state and move(PROTOCOLS[name], state, word.rstrip("!"), answers_cancel=word.endswith("!"))
    return state


def test_late_proposal_is_rejected_and_late_refusal_is_taken() -> None:
    for name in ("fipa-contract-net", "fipa-iterated-contract-net"):
        assert told(name, "i:cfp", "time", "p:propose") == REJECTED_LATE
        assert told(name, "i:cfp", "time", "p:refuse") == "refused"


def test_second_proposal_is_refused() -> None:
    assert told("fipa-contract-net", "i:cfp", "p:propose", "p:propose") is None


def test_proposal_in_time_outlives_the_deadline() -> None:
    assert told("fipa-contract-net", "i:cfp", "p:propose") == "proposed"
    assert after_deadline(PROTOCOLS["fipa-contract-net"], "proposed") is None


def test_proposal_that_crosses_with_a_cancel_is_late_all_the_same() -> None:
    assert told("fipa-contract-net", "i:cfp", "time", "i:cancel", "p:propose") == REJECTED_LATE


def test_silent_participant_is_only_late_while_a_lost_result_expires() -> None:
    assert told("fipa-contract-net", "i:cfp", "time") == LATE
    assert told("fipa-contract-net", "i:cfp", "p:propose", "i:accept-proposal", "time") == EXPIRED


def test_revised_call_goes_only_to_who_proposed() -> None:
    assert told("fipa-iterated-contract-net", "i:cfp", "p:propose", "i:cfp", "p:propose") == "proposed"
    assert told("fipa-iterated-contract-net", "i:cfp", "i:cfp") is None
    assert told("fipa-iterated-contract-net", "i:cfp", "time", "i:cfp") is None
    assert told("fipa-contract-net", "i:cfp", "p:propose", "i:cfp") is None


def test_bidder_that_was_silent_gets_the_next_call() -> None:
    for name in ("fipa-auction-english", "fipa-auction-dutch"):
        assert told(name, "i:inform", "i:cfp", "i:cfp", "p:propose") == "bid"


def test_good_is_requested_only_of_who_had_a_bid_accepted() -> None:
    accepted = ("i:inform", "i:cfp", "p:propose", "i:accept-proposal")
    for later in ((), ("i:cfp",), ("i:cfp", "p:propose", "i:reject-proposal")):
        assert told("fipa-auction-english", *accepted, *later, "i:inform", "i:request", "p:inform") == "done"
    assert told("fipa-auction-english", "i:inform", "i:cfp", "p:propose", "i:inform", "i:request") is None


def test_bid_in_a_dutch_auction_gets_one_answer_though_calls_and_the_end_cross_with_it() -> None:
    bid = ("i:inform", "i:cfp", "p:propose")
    for crossing in ((), ("i:cfp",), ("i:cfp", "i:cfp"), ("i:inform",), ("i:cfp", "i:inform")):
        assert told("fipa-auction-dutch", *bid, *crossing, "i:accept-proposal") is not None
        assert told("fipa-auction-dutch", *bid, *crossing, "p:propose") is None
        assert told("fipa-auction-dutch", *bid, *crossing, "i:accept-proposal", "i:reject-proposal") is None


def test_bid_in_an_english_auction_is_overtaken_by_the_next_call() -> None:
    bid = ("i:inform", "i:cfp", "p:propose")
    assert told("fipa-auction-english", *bid, "i:cfp", "p:propose") == "bid"
    assert told("fipa-auction-english", *bid, "i:cfp", "i:reject-proposal") is None


def test_only_recruiting_lets_strangers_speak_to_the_initiator() -> None:
    assert [name for name, protocol in PROTOCOLS.items() if protocol.third_party] == ["fipa-recruiting"]


def test_notice_that_crosses_with_a_cancel_is_no_answer_to_it() -> None:
    subscribed = ("i:subscribe", "p:agree", "i:cancel")
    assert told("fipa-subscribe", *subscribed, "p:inform") == "cancelling:subscribed"
    assert told("fipa-subscribe", *subscribed, "p:inform", "p:inform!") == CANCELLED
    assert told("fipa-subscribe", *subscribed, "p:failure!") == "subscribed"
    assert told("fipa-subscribe", *subscribed, "time") == CANCELLED


def test_cancel_may_be_answered_though_the_end_crossed_with_it() -> None:
    for answer in ("p:inform!", "p:failure!", "p:not-understood!"):
        assert told("fipa-request", "i:request", "i:cancel", "p:inform", answer) == "done"
        assert told("fipa-request", "i:request", "i:cancel", "p:not-understood", answer) == NOT_UNDERSTOOD
        assert told("fipa-request", "i:request", "i:cancel", "time", answer) is None
    assert told("fipa-request", "i:request", "i:cancel", "p:inform", "i:inform!") is None


def test_cancel_is_answered_by_inform_or_failure_only() -> None:
    assert told("fipa-request", "i:request", "i:cancel", "p:agree") == "cancelling:agreed"
    assert told("fipa-request", "i:request", "i:cancel", "p:agree!") is None
    assert told("fipa-request", "i:request", "i:cancel", "p:refuse!") is None


def test_who_does_not_understand_a_cancel_goes_on() -> None:
    assert told("fipa-request", "i:request", "i:cancel", "p:not-understood!") == "requested"
    assert told("fipa-request", "i:request", "i:cancel", "i:not-understood!") == NOT_UNDERSTOOD
