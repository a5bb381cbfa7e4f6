"""The commands in docs/howto/find-out-who-waits.md print what the page says they do."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import msgspec
import pytest

from caxton.conversations.facts import AgentFacts
from caxton.conversations.path import MAX_DEPTH
from caxton.messages.codec import encode_message
from caxton.messages.message import AclMessage
from caxton.recorder.record import SETTLED, Record
from caxton.testing.fakes.conversations import NOW_US
from tests.cli_runner import caxton
from tests.docs.tables import read_page
from tests.integration.test_cli import node, shared_node

if TYPE_CHECKING:
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]

PAGE = read_page("howto/find-out-who-waits.md")
COMMANDS = re.findall(r"(?m)^\$ caxton (.+)\n((?:(?!\$ |```).*\n)+)", PAGE)


def said(seconds: float, sender: str, receiver: str, act: str, content: bytes) -> bytes:
    return encode_message(
        AclMessage(
            performative=act, sender=sender, receiver=receiver, content=msgspec.Raw(content), protocol="fipa-request",
            timestamp=NOW_US - 60_000_000 + int(seconds * 1e6), message_id=f"m-{seconds}", conversation_id="order-16",
        )
    )  # fmt: skip


def handled(seq: int, sender: str, receiver: str, act: str, *, sent: float, began: float) -> Record:
    """One that took a millisecond; times in seconds since the first."""
    sent_us, began_us = (NOW_US - 60_000_000 + round(at * 1e6) for at in (sent, began))
    return Record(
        SETTLED, seq, "default", sender, receiver, f"m-{seq}", "order-16", act.encode(), "", 1, sent_us, began_us,
        began_us + 1000, 200,
    )  # fmt: skip


def situation(fakes: FakeNode) -> None:
    fakes.conversations.__init__(fakes.messages.kept)
    begin = fakes.conversations.begin
    fakes.messages.kept["order-16"] = [
        said(0, "manager", "bidder-3", "request", b'{"order":16}'),
        said(1.5, "bidder-3", "manager", "agree", b"null"),
        said(10, "bidder-3", "manager", "inform", b'"done"'),
    ]
    fakes.traces.records = [
        handled(1, "manager", "bidder-3", "request", sent=0, began=1.5),
        handled(2, "bidder-3", "manager", "agree", sent=1.5, began=1.502),
        handled(3, "bidder-3", "manager", "inform", sent=10, began=10.001),
    ]
    begin("order-16", "manager", "bidder-3", state="done", ago_s=50)
    begin("order-17", "manager", "bidder-3", state="agreed", ago_s=12.4, deadline_in_s=17)
    begin("stock-17", "bidder-3", "db", ago_s=9, parent="order-17")
    fakes.conversations.agents["db"] = AgentFacts(status="stopped", mailbox_messages=3)


def deadlock(fakes: FakeNode) -> None:
    fakes.conversations.__init__(fakes.messages.kept)
    fakes.conversations.begin("plan-2", "planner", "checker", ago_s=120)
    fakes.conversations.begin("check-2", "checker", "planner", ago_s=100)


def test_page_shows_what_commands_print() -> None:
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_command_prints_what_the_page_shows(command: str, printed: str, caxton: CliRunner, node: RunningNode) -> None:
    node.do(deadlock if "deadlocks" in command or "plan-2" in command else situation)
    outcome = caxton(*shlex.split(command))
    assert outcome.code == 0
    assert outcome.out.splitlines() == printed.splitlines()


def test_limits_that_the_reference_names_are_right() -> None:
    assert f"and {MAX_DEPTH} waits are enough for one path" in read_page("reference/rest.md")
