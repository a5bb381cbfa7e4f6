"""docs/reference/protocols.md has every protocol: its source, and its table move by move."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from caxton.messages.performative import PERFORMATIVES
from caxton.protocols.catalogue import PROTOCOLS
from caxton.protocols.machine import CANCELLED, CANCELLING, INITIATOR, NOT_UNDERSTOOD, PARTICIPANT, START, allowed, step
from tests.docs.tables import assert_same, read_page, rows, section, word, words

if TYPE_CHECKING:
    from caxton.protocols.machine import Moves, Protocol

PAGE = read_page("reference/protocols.md")
COMMON = section(PAGE, "## In every protocol")
COLUMNS = ("State", "Initiator", "Participant", "Has to speak", "After the deadline")
_MOVE = re.compile(r"`([^`]+)` → `([^`]+)`")

EACH = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS.keys())


def lines(protocol: Protocol) -> list[list[str]]:
    return rows(section(PAGE, f"## {protocol.name}"), *COLUMNS)


def listed(protocol: Protocol, column: int) -> Moves:
    """The moves of one side, as the page has them."""
    moves: Moves = {}
    for row in lines(protocol):
        found = _MOVE.findall(row[column])
        assert ", ".join(f"`{act}` → `{to}`" for act, to in found) == row[column]
        if found:
            moves[word(row[0])] = dict(found)
            assert len(moves[word(row[0])]) == len(found), f"an act twice in {row[column]}"
    return moves


def listed_after(protocol: Protocol, beginning: str) -> list[str]:
    """What the one paragraph of the section that begins so has in backticks."""
    found = re.findall(rf"(?ms)^{beginning}: (.*?)\.$", section(PAGE, f"## {protocol.name}"))
    assert len(found) <= 1
    return words(found[0]) if found else []


def test_every_protocol_has_a_section_and_a_line_in_the_overview() -> None:
    assert_same("protocols", code=PROTOCOLS, page=re.findall(r"(?m)^## (fipa-.*)$", PAGE))
    overview = rows(PAGE, "Protocol", "What for", "Begins with")
    assert_same("protocols", code=PROTOCOLS, page=[words(row[0])[0] for row in overview])
    assert {words(row[0])[0]: tuple(words(row[2])) for row in overview} == {
        name: protocol.openings for name, protocol in PROTOCOLS.items()
    }


@EACH
def test_source_is_named(protocol: Protocol) -> None:
    assert section(PAGE, f"## {protocol.name}").lstrip().startswith(f"FIPA {protocol.source}. ")


@EACH
def test_moves_of_both_sides_are_those_of_the_code(protocol: Protocol) -> None:
    assert listed(protocol, 1) == protocol.initiator
    assert listed(protocol, 2) == protocol.participant


@EACH
def test_states_and_who_has_to_speak_in_them_are_those_of_the_code(protocol: Protocol) -> None:
    assert_same("states", code=[START, *protocol.turn], page=[word(row[0]) for row in lines(protocol)])
    assert {word(row[0]): row[3] or None for row in lines(protocol)} == {START: None, **protocol.turn}


@EACH
def test_deadlines_are_those_of_the_code(protocol: Protocol) -> None:
    assert {word(row[0]): word(row[4]) for row in lines(protocol) if row[4]} == protocol.expires


@EACH
def test_ends_and_strangers_are_those_of_the_code(protocol: Protocol) -> None:
    assert_same("ends", code=protocol.ends, page=listed_after(protocol, "Ends"))
    assert_same("acts of strangers", code=protocol.third_party, page=listed_after(protocol, "Strangers may say"))


def test_ends_of_all_protocols_are_listed() -> None:
    for row in rows(COMMON, "State", "It came to this by"):
        assert all(protocol.is_end(word(row[0])) for protocol in PROTOCOLS.values())
    named = {word(row[0]) for row in rows(COMMON, "State", "It came to this by")}
    reached = {to for protocol in PROTOCOLS.values() for to in reached_ends(protocol)}
    assert named == reached


def reached_ends(protocol: Protocol) -> set[str]:
    """Where moves lead, that is an end, but none of the protocol's own."""
    tables = [*protocol.initiator.values(), *protocol.participant.values(), protocol.expires]
    common = {to for table in tables for to in table.values() if protocol.is_end(to)}
    return (common | {CANCELLED, NOT_UNDERSTOOD}) - protocol.ends


@EACH
def test_answers_to_a_cancel_are_those_of_the_code(protocol: Protocol) -> None:
    table = {row[0]: row[1:] for row in rows(COMMON, "While cancelling, the participant says")}
    rest = table.pop("any other act")
    for state in protocol.turn:
        for act in PERFORMATIVES:
            with_reference, without = table.get(f"`{act}`", rest)
            crossed = protocol.participant.get(state, {}).get(act)
            if crossed and not protocol.is_end(crossed):
                crossed = CANCELLING + crossed
            for cell, answers in ((with_reference, True), (without, False)):
                after = step(protocol, CANCELLING + state, PARTICIPANT, act, answers_cancel=answers)
                assert after == expected(cell, state, crossed), f"{act} in {CANCELLING}{state}"
        assert allowed(protocol, CANCELLING + state, INITIATOR) == (NOT_UNDERSTOOD,)


def expected(cell: str, state: str, crossed: str | None) -> str | None:
    """What a cell of the table of answers says."""
    if cell.startswith("what crossed"):
        return crossed or expected(cell.partition("; else ")[2], state, None)
    if cell.startswith("the state before"):
        return state
    return None if cell == "not allowed" else word(cell)
