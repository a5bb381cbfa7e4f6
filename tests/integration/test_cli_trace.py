"""`caxton trace` against the real API on a real socket, over records in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caxton.recorder.record import DEAD, FAILED, SETTLED, Record
from caxton.testing.fakes.conversations import NOW_US
from caxton.testing.fakes.tracing import FakeTraces
from tests.cli_runner import caxton
from tests.integration.test_cli import node, shared_node
from tests.unit.services.talks import START_US, record
from tests.zone import time_zone

if TYPE_CHECKING:
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]

HOSTILE = "\x1b[2J\x1b]0;owned\x07/../?&#"
AGO = NOW_US - START_US
"""Offset of the fake's present."""


def story(conversation_id: str) -> list[Record]:
    at = AGO - 60_000_000
    return [
        record(SETTLED, 1, "client:ada", "OrderProcessor", sent=at, handed=at + 10, ended=at + 11,
               conversation_id=conversation_id, act="request"),
        record(FAILED, 2, "OrderProcessor", "InventoryChecker", sent=at + 10, handed=at + 20, ended=at + 5_001_020,
               conversation_id=conversation_id, act="propose", detail="its handler returned 1"),
        record(DEAD, 2, "OrderProcessor", "InventoryChecker", sent=at + 10, ended=at + 5_001_021,
               conversation_id=conversation_id, act="propose", detail="failed: its handler returned 1"),
    ]  # fmt: skip


@pytest.fixture
def known(node: RunningNode) -> RunningNode:
    """`abc123`, which is over, and one of a hostile name."""

    def fill(fakes: FakeNode) -> None:
        fakes.traces.__init__(fakes.messages.kept)
        fakes.conversations.__init__(fakes.messages.kept)
        fakes.traces.records = [*story("abc123"), *story(HOSTILE)]

    node.do(fill)
    return node


# --- what cannot be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ([], 2, "--conversation-id or --message-id"),
        (["--conversation-id", "x", "--message-id", "y"], 2, "--conversation-id or --message-id"),
        (["--conversation-id", ""], 2, "at least one character"),
        (["--message-id", "m-1", "--why"], 2, "--why"),
        (["--conversation-id", "x", "--why", "--format", "otlp"], 2, "--why"),
        (["--conversation-id", "x", "--last", "soon"], 4, "--last"),
        (["--conversation-id", "x", "--last", "0"], 4, "--last"),
        (["--conversation-id", "x", "--last", "-5m"], 4, "--last"),
        (["--conversation-id", "x", "--last", "999999999999d"], 4, "--last: '999999999999d'"),
        (["--conversation-id", "x", "--last", "367d"], 4, "at most 366d"),
        (["--conversation-id", "\udcff\udcfe"], 2, r"--conversation-id is no UTF-8: b'\xff\xfe'"),
        (["--message-id", "m-\udcff"], 2, "--message-id is no UTF-8"),
        (["--conversation-id", "x", "--agent", "no/name"], 4, "INVALID_NAME"),
        (["--conversation-id", "x", "--limit", "5001"], 2, "--limit"),
        (["--conversation-id", "x", "--format", "svg"], 2, "--format"),
        (["--conversation-id", "x" * 1025], 4, "1024"),
    ],
)
def test_nonsense_is_refused_with_what_to_do(
    caxton: CliRunner, known: RunningNode, options: list[str], code: int, told: str
) -> None:
    outcome = caxton("trace", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert told in outcome.err


def test_unknown_ids_are_not_found_and_the_error_says_how_far_back_that_is(
    caxton: CliRunner, known: RunningNode
) -> None:
    outcome = caxton("trace", "--conversation-id", "\x1b[2Jnix")
    assert outcome.code == 3
    assert "code: CONVERSATION_NOT_FOUND" in outcome.err
    assert "goes back 60 s" in outcome.err
    assert "\x1b" not in outcome.err
    outcome = caxton("trace", "--message-id", "nix")
    assert (outcome.code, "code: MESSAGE_NOT_FOUND" in outcome.err) == (3, True)
    for why in ([], ["--why"]):
        assert caxton("trace", "--conversation-id", "nix", *why).code == 3


def test_quiet_time_is_an_answer_that_says_when_there_was_something(caxton: CliRunner, known: RunningNode) -> None:
    outcome = caxton("trace", "--conversation-id", "abc123", "--last", "30s", "--utc")
    assert (outcome.code, outcome.out) == (0, "Nothing happened in that time.\n")
    assert "the last of it was at 23:59:05.001, 54s ago; leave --last out" in outcome.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--agent", "nobody"], "nobody neither sent nor got anything in it."),
        (["--agent", "nobody", "--last", "30s"], "nobody neither sent nor got anything in that time."),
        (["--agent", "client:ada", "--errors"], "client:ada had nothing go wrong in it."),
        (["--errors", "--last", "30s"], "Nothing went wrong in that time."),
    ],
)
def test_filter_that_leaves_nothing_is_named(
    caxton: CliRunner, known: RunningNode, options: list[str], told: str
) -> None:
    outcome = caxton("trace", "--conversation-id", "abc123", *options)
    assert (outcome.code, outcome.out) == (0, f"{told}\n")


# --- what there is -----------------------------------------------------------------------------------------------


def test_lines_and_bars_are_shown_and_which_time_that_is(caxton: CliRunner, known: RunningNode) -> None:
    outcome = caxton("trace", "--conversation-id", "abc123", "--last", "5m", "--utc")
    assert outcome.code == 0
    head, _, bars = outcome.out.partition("\n\n")
    assert head.splitlines() == [
        '[23:59:00.000] agent="client:ada" message="request" status="sent"',
        '[23:59:00.000] agent="OrderProcessor" message="request" status="received"',
        '[23:59:00.000] agent="OrderProcessor" message="propose" status="sent"',
        '[23:59:00.000] agent="InventoryChecker" message="propose" status="received"',
        ('[23:59:05.001] agent="InventoryChecker" message="propose" status="failed" error="its handler returned 1" '
        'took="5.001 s"'),
        ('[23:59:05.001] agent="InventoryChecker" message="propose" status="dead" '
        'error="failed: its handler returned 1"'),
    ]  # fmt: skip
    assert "  InventoryChecker propose" in bars
    assert "times are UTC\n" in outcome.err


def test_times_are_local_unless_asked_otherwise(caxton: CliRunner, known: RunningNode) -> None:
    with time_zone("XST-05:30"):
        outcome = caxton("trace", "--conversation-id", "abc123")
    assert outcome.out.startswith("[05:29:00.000] ")
    assert "times are XST (UTC+05:30); --utc shows UTC" in outcome.err


def test_machine_that_keeps_utc_is_not_told_how_to_see_utc(caxton: CliRunner, known: RunningNode) -> None:
    with time_zone("UTC"):
        outcome = caxton("trace", "--conversation-id", "abc123")
    assert "times are UTC\n" in outcome.err
    assert "--utc" not in outcome.err


def test_message_agent_and_errors_narrow_it(caxton: CliRunner, known: RunningNode) -> None:
    family = caxton("trace", "--message-id", "m-2", "-o", "json").json()
    assert [span["message_id"] for span in family["spans"]][:2] == ["m-1", "m-2"]
    only = caxton("trace", "--conversation-id", "abc123", "--errors", "--utc").out
    assert 'status="sent"' not in only
    assert 'status="dead"' in only
    assert "client:ada → OrderProcessor request" in only
    hers = caxton("trace", "--conversation-id", "abc123", "--agent", "client:ada", "--utc").out
    assert hers.splitlines()[:2] == ['[23:59:00.000] agent="client:ada" message="request" status="sent"', ""]


def test_more_than_the_limit_is_cut_and_said(caxton: CliRunner, known: RunningNode) -> None:
    outcome = caxton("trace", "--conversation-id", "abc123", "--limit", "1")
    assert "only the last 1 of 2 messages are shown" in outcome.err
    assert "client:ada" not in outcome.out


def test_trace_that_was_cut_before_says_more_than(
    caxton: CliRunner, known: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeTraces, "at_least", True)
    outcome = caxton("trace", "--conversation-id", "abc123", "--limit", "1")
    assert "only the last 1 of more than 2 messages are shown" in outcome.err


def test_id_that_would_steer_a_terminal_is_found_and_stays_text(caxton: CliRunner, known: RunningNode) -> None:
    outcome = caxton("trace", "--conversation-id", HOSTILE, "--why")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out + outcome.err
    assert len(outcome.out.splitlines()) > 6


def test_formats_for_programs_are_nothing_but_that(caxton: CliRunner, known: RunningNode) -> None:
    spans = json.loads(caxton("trace", "--conversation-id", "abc123", "--format", "otlp").out)
    assert [span["name"] for span in spans["resourceSpans"][0]["scopeSpans"][0]["spans"]] == [
        "send OrderProcessor", "process OrderProcessor", "send InventoryChecker", "process InventoryChecker",
        "settle InventoryChecker",
    ]  # fmt: skip
    drawn = caxton("trace", "--conversation-id", "abc123", "--format", "mermaid").out
    assert drawn.startswith("sequenceDiagram\n")
    assert caxton("trace", "--conversation-id", "abc123", "--format", "json").json()["total"] == 2


def test_why_stands_below_and_alone_when_nothing_is_recorded(caxton: CliRunner, known: RunningNode) -> None:
    known.do(lambda fakes: fakes.conversations.begin("abc123", "OrderProcessor", "InventoryChecker"))
    known.do(lambda fakes: fakes.conversations.begin("other", "a", "b"))
    lines = caxton("trace", "--conversation-id", "abc123", "--why").out.splitlines()
    assert lines[0].startswith("[")
    assert "◐ abc123, fipa-request: open, waits" in lines
    alone = caxton("trace", "--conversation-id", "other", "--why").out.splitlines()
    assert alone[0] == "◐ other, fipa-request: open, waits"
    known.do(lambda fakes: fakes.conversations.known.clear())
    assert caxton("trace", "--conversation-id", "abc123", "--why").code == 0
