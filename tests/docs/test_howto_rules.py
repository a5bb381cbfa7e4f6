"""docs/howto/talk-by-the-rules.md: its commands print, and agents hear, what the page says."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from caxton.conversations.deadlines import CANCEL_WITHIN_US
from caxton.conversations.notices import MAX_NAMED
from caxton.conversations.settings import MODES, ConversationSettings
from caxton.core.errors.conversations import ProtocolViolation
from tests.cli_runner import caxton
from tests.docs.tables import assert_same, read_page, rows, section, word
from tests.integration.test_cli import node, shared_node
from tests.unit.bus.rig import WORKSPACE
from tests.unit.conversations.conftest import anyio_backend, clock, talk

if TYPE_CHECKING:
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode
    from tests.unit.conversations.talk import Talk

__all__ = ["anyio_backend", "caxton", "clock", "node", "shared_node", "talk"]

PAGE = read_page("howto/talk-by-the-rules.md")
COMMANDS = re.findall(r"(?m)^\$ caxton (.+)\n((?:(?!\$ |```).*\n)+)", PAGE)
SAID: dict[str, Any] = {
    found.get("error", "late"): found for found in map(json.loads, re.findall(r"(?ms)^```json\n(.*?)^```", PAGE))
}
"""What the page says that agents hear, by its error."""

MANAGER, BIDDER, ORDER = "manager", "bidder-3", "order-17"
IDLE_S = ConversationSettings().idle_us / 1e6


def heard(talk: Talk, name: str) -> tuple[str, str, Any]:
    """What an agent heard last: sender, act, content with the page's message id in the place of this run's."""
    sender, act, content = talk.last(name)
    if "message_id" in content:
        content["message_id"] = SAID[content["error"]]["message_id"]
    return sender, act, content


def ask(talk: Talk, act: str = "request", protocol: str = "fipa-request", **fields: object) -> None:
    """The manager asks the bidder."""
    talk.start(MANAGER)
    if BIDDER not in talk.agents:
        talk.start(BIDDER)
    talk.says(MANAGER, BIDDER, act, protocol, conversation_id=ORDER, **fields)


# --- what the page shows -----------------------------------------------------------------------------------------


def situation(fakes: FakeNode) -> None:
    fakes.conversations.__init__(fakes.messages.kept)
    fakes.conversations.begin(ORDER, MANAGER, BIDDER)
    line = re.search(r"(?m)^\[bidder-3\] ⚠ (.*)$", PAGE)
    assert line is not None
    fakes.logs.write(BIDDER, line[1], level="warn", source="host")


def test_page_shows_commands_with_what_they_print() -> None:
    assert [command.split()[0] for command, _ in COMMANDS] == ["config", "logs", "config", "conversations"]


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_command_prints_what_the_page_shows(command: str, printed: str, caxton: CliRunner, node: RunningNode) -> None:
    node.do(situation)
    outcome = caxton(*shlex.split(command))
    assert outcome.code == 0
    assert [line.rstrip() for line in outcome.out.splitlines()] == printed.splitlines()


def test_every_mode_has_a_line() -> None:
    assert_same("modes", code=MODES, page=[word(row[0]) for row in rows(PAGE, "Mode", "A message out of place")])


def test_numbers_are_right() -> None:
    assert f"At most {MAX_NAMED} names" in PAGE
    assert f"They have {CANCEL_WITHIN_US // 10**6} s" in PAGE
    settings = ConversationSettings()
    hours, days = settings.idle_us // (3600 * 10**6), settings.max_age_us // (86_400 * 10**6)
    assert f"for {hours} hours, or after {days} days" in PAGE


# --- what agents hear --------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_breach_is_answered_and_logged_as_the_page_says(talk: Talk) -> None:
    ask(talk)
    talk.says(BIDDER, MANAGER, "propose", conversation_id=ORDER)
    assert heard(talk, BIDDER) == ("ams", "not-understood", SAID["PROTOCOL_VIOLATION"])
    talk.room.set_mode(WORKSPACE, "warn")
    talk.says(BIDDER, MANAGER, "propose", conversation_id=ORDER)
    assert talk.heard(MANAGER) == ["propose"]
    (_, refused), (_, warned) = talk.warnings
    assert refused == f"not delivered: {warned}"
    assert f"[{BIDDER}] ⚠ {warned}\n" in section(PAGE, "## Bring in agents that nobody has checked")


@pytest.mark.anyio
async def test_client_hears_state_and_allowed_acts(talk: Talk) -> None:
    talk.start(BIDDER)
    with pytest.raises(ProtocolViolation) as caught:
        talk.rig.post(BIDDER, performative="agree", protocol="fipa-request")
    assert {"state", "allowed"} <= {*caught.value.details()}


@pytest.mark.parametrize("mode", ["strict", "enforce", "warn"])
@pytest.mark.anyio
async def test_silence_is_told_as_the_page_says(talk: Talk, mode: Any) -> None:
    talk.room.set_mode(WORKSPACE, mode)
    ask(talk, reply_by=talk.at(5))
    await talk.rig.later(6)
    assert heard(talk, MANAGER) == ("ams", "failure", SAID["DEADLINE_PASSED"])


@pytest.mark.parametrize("mode", ["strict", "enforce", "warn"])
@pytest.mark.anyio
async def test_late_proposal_is_rejected_as_the_page_says(talk: Talk, mode: Any) -> None:
    talk.room.set_mode(WORKSPACE, mode)
    ask(talk, "cfp", "fipa-contract-net", reply_by=talk.at(5))
    await talk.rig.later(6)
    talk.says(BIDDER, MANAGER, "propose", "fipa-contract-net", conversation_id=ORDER)
    assert heard(talk, BIDDER) == (MANAGER, "reject-proposal", SAID["late"])
    assert (talk.heard(MANAGER), talk.room.referee.violations) == (["failure"], 0)


@pytest.mark.parametrize(
    ("act", "protocol", "answer"),
    [
        ("request", "fipa-request", "failure"),
        ("cfp", "fipa-contract-net", "refuse"),
        ("propose", "fipa-propose", "reject-proposal"),
    ],
)
@pytest.mark.parametrize("mode", ["strict", "enforce", "warn"])
@pytest.mark.anyio
async def test_what_cannot_be_delivered_is_told_as_the_page_says(
    talk: Talk, mode: Any, act: str, protocol: str, answer: str
) -> None:
    talk.room.set_mode(WORKSPACE, mode)
    talk.agents[BIDDER] = talk.rig.agent(BIDDER, lambda _turn, _message: 7)
    ask(talk, act, protocol)
    for _ in range(5):
        await talk.rig.later(60)
    assert heard(talk, MANAGER) == ("ams", answer, SAID["MESSAGE_UNDELIVERABLE"])


@pytest.mark.parametrize("mode", ["strict", "enforce", "warn"])
@pytest.mark.anyio
async def test_end_for_want_of_words_is_told_as_the_page_says(talk: Talk, mode: Any) -> None:
    talk.room.set_mode(WORKSPACE, mode)
    ask(talk)
    await talk.rig.commit()
    talk.clock.advance(IDLE_S + 60)
    talk.room.deadlines.look()
    await talk.rig.later(1)
    assert heard(talk, MANAGER) == ("ams", "failure", SAID["CONVERSATION_ENDED"])


@pytest.mark.anyio
async def test_cancel_by_an_operator_has_the_name_on_the_token(talk: Talk) -> None:
    ask(talk)
    found = talk.find(ORDER)
    assert found is not None
    talk.room.deadlines.cancel(found, "NAME")
    talk.rig.pump()
    sender, act, content = talk.last(BIDDER)
    assert (sender, act) == (MANAGER, "cancel")
    assert f"whose content is `{json.dumps(content)}`" in PAGE
    await talk.rig.later(CANCEL_WITHIN_US / 1e6 + 1)
    assert heard(talk, MANAGER) == ("ams", "failure", SAID["DEADLINE_PASSED"])


@pytest.mark.anyio
async def test_what_began_while_nobody_listened_is_out_of_place_later_unless_one_is_only_warned(talk: Talk) -> None:
    talk.room.set_mode(WORKSPACE, "off")
    ask(talk)
    assert talk.find(ORDER) is None
    talk.room.set_mode(WORKSPACE, "warn")
    talk.says(BIDDER, MANAGER, "agree", conversation_id=ORDER)
    talk.room.set_mode(WORKSPACE, "enforce")
    talk.says(BIDDER, MANAGER, "inform", conversation_id=ORDER)
    assert (talk.heard(MANAGER), talk.last(BIDDER)[1]) == (["agree"], "not-understood")
