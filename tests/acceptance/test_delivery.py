"""What a client can ask of the delivery, from a real server process over a socket, kill -9 in between."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from caxton.client import ApiProblem, CaxtonClient
from caxton.core.views.agents import AgentSpec
from caxton.messages.message import AclMessage
from caxton.testing.guests import example
from tests.acceptance.served import served

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 30


def message(receiver: str | list[str], content: object = 1, **fields: Any) -> AclMessage:
    given: dict[str, Any] = {"performative": "request"} | fields
    return AclMessage(receiver=receiver, content=msgspec.Raw(msgspec.json.encode(content)), **given)


def code_of(client: CaxtonClient, refused: AclMessage) -> tuple[int, str]:
    with pytest.raises(ApiProblem) as caught:
        client.send(refused)
    return caught.value.status, caught.value.code


def count(client: CaxtonClient) -> int:
    return client.invoke("counter", {"get": True}, timeout_s=WAIT_S).content["count"]


def test_bad_input_is_refused_with_its_code_and_changes_nothing(tmp_path: Path) -> None:
    late = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    with served(tmp_path) as (_, client):
        client.deploy(AgentSpec(name="counter"), example("counter"))
        client.stop("counter")
        client.send(message("counter", {"add": 1}, message_id="m"))
        assert code_of(client, message("counter", {"add": 2}, message_id="m")) == (409, "MESSAGE_ID_CONFLICT")
        assert code_of(client, message("counter", reply_by=late)) == (400, "MESSAGE_EXPIRED")
        for fields in ({"ttl_ms": 0}, {"priority": 99}, {"reply_by": "soon"}, {"message_id": "x" * 129}):
            assert code_of(client, message("counter", **fields)) == (400, "INVALID_MESSAGE")
        for address in ("nobody", "topic://empty", "broadcast://empty"):
            assert code_of(client, message(address)) == (404, "UNKNOWN_RECEIVER")
        assert code_of(client, message("topic://a/*")) == (400, "INVALID_MESSAGE")
        assert client.agent("counter").mailbox_messages == 1


def test_message_sent_again_over_a_kill_is_handled_once_and_answered_the_same(tmp_path: Path) -> None:
    with served(tmp_path) as (process, client):
        client.deploy(AgentSpec(name="counter"), example("counter"))
        first = client.send(message("counter", {"add": 1}, message_id="once"))
        assert client.send(message("counter", {"add": 1}, message_id="once")) == first
        asked = client.send(message("counter", {"add": 10}, message_id="asked"), wait_s=WAIT_S)
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    with served(tmp_path) as (_, client):
        assert client.send(message("counter", {"add": 1}, message_id="once")) == first
        again = client.send(message("counter", {"add": 10}, message_id="asked"), wait_s=WAIT_S)
        assert (again.message_id, bytes(again.content)) == (asked.message_id, bytes(asked.content))
        reply = client.invoke("counter", {"add": 100}, message_id="invoked", timeout_s=WAIT_S)
        assert client.invoke("counter", {"add": 100}, message_id="invoked", timeout_s=WAIT_S) == reply
        assert count(client) == 111


def test_mail_for_a_removed_agent_waits_for_the_next_one_until_the_name_is_forgotten(tmp_path: Path) -> None:
    with served(tmp_path) as (process, client):
        client.deploy(AgentSpec(name="counter"), example("counter"))
        client.remove("counter")
        client.send(message("counter", {"add": 5}))
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    with served(tmp_path) as (_, client):
        client.send(message("counter", {"add": 6}))
        with pytest.raises(ApiProblem) as caught:
            client.send(message("counter", {"get": True}), wait_s=1)
        assert caught.value.code == "UNKNOWN_RECEIVER"  # nobody would answer
        client.deploy(AgentSpec(name="counter"), example("counter"))
        assert count(client) == 11
        client.remove("counter", forget=True)
        assert code_of(client, message("counter")) == (404, "UNKNOWN_RECEIVER")


def test_group_reaches_its_members_and_memory_is_told_by_the_receipt(tmp_path: Path) -> None:
    with served(tmp_path) as (_, client):
        for name in ("one", "two"):
            client.deploy(AgentSpec(name=name, groups=["crew"]), example("counter"))
        receipt = client.send(message("broadcast://crew", {"add": 3}), durability="memory")
        assert receipt.durability == "memory"
        counts = [client.invoke(name, {"get": True}, timeout_s=WAIT_S).content["count"] for name in ("one", "two")]
        assert counts == [3, 3]
