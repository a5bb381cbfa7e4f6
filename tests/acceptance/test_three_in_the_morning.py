"""The brief's "3 AM test": an alarm, five agents, one slow tool, and the commands that lead to it, in their order.

The commands are those of docs/howto/three-in-the-morning.md, and what they print is what the page shows, but for times.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from caxton.core.views.agents import AgentSpec, CircuitBreaker
from caxton.messages.message import AclMessage
from caxton.testing.guests import assemble, guest_text
from tests.acceptance.served import environment, served
from tests.docs.tables import read_page
from tests.prometheus import FETCH_S, prometheus

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from caxton.client import CaxtonClient

PAGE = read_page("howto/three-in-the-morning.md")
TRANSCRIPT = [
    (re.sub(r"\\\n\s*", "", command), printed)
    for command, printed in re.findall(r"(?m)^\$ caxton ((?:.+\\\n)*.+)\n((?:(?!\$ |```).*\n)*)", PAGE)
]
"""Commands, and what the page says that they print."""


def told(text: str) -> str:
    """A message as a guest's data."""
    return text.replace('"', '\\"')


def relay(receiver: str, act: str) -> bytes:
    """A guest that says `act` to another in the conversation, whatever it is told."""
    text = f'{{"performative":"{act}","receiver":"{receiver}","conversation_id":"abc123"}}'
    return assemble(
        guest_text(
            imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
            handle=f"(call $send (i32.const 16) (i32.const {len(text)}))",
            more=f'(data (i32.const 16) "{told(text)}")',
        )
    )


REQUEST = '{"tool":"database_query","arguments":{"sku":"item-123"}}'
CHECKER = assemble(
    guest_text(
        imports='(import "caxton" "call_tool" (func $call (param i32 i32) (result i32)))',
        handle=f"(i32.lt_s (call $call (i32.const 16) (i32.const {len(REQUEST)})) (i32.const 0))",
        more=f'(data (i32.const 16) "{told(REQUEST)}")',
    )
)
"""Asks the database, and fails if that does."""

AGENTS = {
    "StoreFront": relay("PriceCalculator", "request"),
    "PriceCalculator": relay("PaymentHandler", "request"),
    "PaymentHandler": relay("OrderProcessor", "inform"),
    "OrderProcessor": relay("InventoryChecker", "propose"),
    "InventoryChecker": CHECKER,
}


class Night:
    """A server, and a terminal beside it."""

    def __init__(self, place: Path, client: CaxtonClient) -> None:
        self.place, self.client = place, client

    def caxton(self, command: str) -> str:
        """What a command prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "caxton", *shlex.split(command)],
            env=environment(self.place, self.client) | {"COLUMNS": "100"},
            encoding="utf-8", capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def order(self) -> None:
        """A customer orders something, and wants an answer soon."""
        reply_by = (datetime.now(UTC) + timedelta(seconds=4)).isoformat().replace("+00:00", "Z")
        self.client.send(
            AclMessage(
                performative="request", receiver="StoreFront", conversation_id="abc123", protocol="fipa-request",
                reply_by=reply_by,
            )
        )  # fmt: skip

    def wait_until(self, *needles: str) -> str:
        """Ask for the trace until it says all this."""
        text = ""
        for _ in range(300):
            text = self.caxton("trace --conversation-id abc123 --last 5m")
            if all(needle in text for needle in needles):
                return text
        raise AssertionError(text)


@contextmanager
def night(place: Path) -> Generator[Night]:
    """Five agents on a server with a slow database."""
    with served(place, module="tests.acceptance.slow_database") as (_, client):
        for name, wasm in AGENTS.items():
            breaker = CircuitBreaker(threshold=2, timeout="10m")
            client.deploy(AgentSpec(name=name, circuit_breaker=breaker), wasm)
        yield Night(place, client)


def shape(text: str) -> list[str]:
    """Lines without their numbers and bars, which are others each time."""
    lines = [re.sub(r"\d+(?:[.,:]\d+)*(?: (?:µs|ms|s)\b|s\b)?", "0", line) for line in text.splitlines()]
    return [re.sub(r"[ ─█▒✗▸]+", " ", line).strip() for line in lines]


def test_page_has_the_commands_of_the_brief_in_their_order() -> None:
    commands = [command for command, _ in TRANSCRIPT]
    assert commands[0] == "trace --conversation-id abc123 --last 5m"
    assert "debug agent InventoryChecker --show-metrics" in commands
    assert "config set --agent InventoryChecker --circuit-breaker.timeout=10s --circuit-breaker.threshold=3" in commands


@pytest.mark.timeout(FETCH_S + 120)
async def test_commands_in_their_order_lead_from_the_alarm_to_the_slow_tool_and_mend_it(tmp_path: Path) -> None:
    with night(tmp_path) as scene:
        token = (tmp_path / "data" / "monitor.token").read_text(encoding="ascii")
        async with prometheus(tmp_path, scene.client.server.removeprefix("http://"), token) as watch:
            await watch.wait_until("sum(caxton_conversation_deadlines_total)", 0)
            assert await watch.firing() == {}
            scene.order()
            alarm = await watch.wait_for_alarm("AgentConversationTimeout")
        assert alarm["annotations"]["summary"] == "Agent conversation timeout"
        assert f"\n{alarm['annotations']['summary']}\n{alarm['annotations']['description']}\n" in PAGE
        text = scene.wait_until("its circuit is open", 'agent="ams" message="failure"')
        assert re.search(
            r'(?m)^\[\d\d:\d\d:\d\d\.\d{3}\] agent="OrderProcessor" message="propose" status="sent"$', text
        )
        assert re.search(
            r'(?m)^\[\d\d:\d\d:\d\d\.\d{3}\] agent="InventoryChecker" message="propose" status="received"$', text
        )
        assert re.search(
            r'(?m)^\[\d\d:\d\d:\d\d\.\d{3}\] agent="InventoryChecker" error="tool timeout" tool="database_query"', text
        )
        for command, printed in TRANSCRIPT:
            assert shape(scene.caxton(command)) == shape(printed), command
        settings = scene.client.settings("InventoryChecker").circuit_breaker
        assert (settings.threshold, settings.timeout_s) == (3, 10)
