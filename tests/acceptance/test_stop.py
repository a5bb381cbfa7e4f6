"""A real server process, stopped while it works."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import apsw
import httpx
import pytest

from caxton.client import ApiProblem
from caxton.core.views.agents import AgentSpec, Resources
from caxton.messages.message import AclMessage
from caxton.testing.guests import guest
from tests.acceptance.served import ERRORS, served

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from caxton.client import CaxtonClient

STOP_S = 30


def ask(client: CaxtonClient, conversation_id: str) -> AclMessage:
    return client.send(request(conversation_id), wait_s=STOP_S)


def request(conversation_id: str) -> AclMessage:
    return AclMessage(performative="request", receiver="slow", conversation_id=conversation_id)


def stop_while_working(process: subprocess.Popen[str], client: CaxtonClient) -> None:
    for line in client.follow_logs(["slow"], limit=10):
        if line.text == "working":
            break
    process.send_signal(signal.SIGTERM)


def rows(place: Path, sql: str) -> list[tuple[object, ...]]:
    connection: Any = apsw.Connection(str(place / "data" / "journal.db"))
    return list(connection.execute(sql))


def deploy_slow(client: CaxtonClient) -> None:
    spec = AgentSpec(name="slow", resources=Resources(timeout="60s", cpu_time="60s"))
    client.deploy(spec, guest("slow_reply"))


def test_message_in_hand_is_finished_and_its_reply_given_before_the_server_ends(tmp_path: Path) -> None:
    with served(tmp_path) as (process, client), ThreadPoolExecutor() as pool:
        deploy_slow(client)
        asked = pool.submit(ask, client, "slow")
        stop_while_working(process, client)
        while (ready := httpx.get(f"{client.server}/ready")).status_code == 200:
            assert not asked.done()  # the signal is still on its way
        assert httpx.get(f"{client.server}/health").status_code == 200
        assert ready.json()["details"]["reasons"][0]["code"] == "STOPPING"
        assert bytes(asked.result(STOP_S).content) == b'"done"'
        process.communicate(timeout=STOP_S)
        assert process.returncode == 0
        assert '"warning"' not in (tmp_path / ERRORS).read_text(encoding="utf-8")
    assert rows(tmp_path, "SELECT count(*) FROM messages WHERE settled_us IS NULL") == [(0,)]
    assert rows(tmp_path, "SELECT count(*) FROM messages WHERE receiver = 'client:admin'") == [(1,)]


def test_message_still_waiting_is_kept_and_its_sender_told_not_to_send_it_again(tmp_path: Path) -> None:
    with served(tmp_path) as (process, client), ThreadPoolExecutor() as pool:
        deploy_slow(client)
        client.send(request("slow"))
        waiting = pool.submit(ask, client, "another")
        stop_while_working(process, client)
        with pytest.raises(ApiProblem) as caught:
            waiting.result(STOP_S)
        assert caught.value.code in ("REPLY_INTERRUPTED", "SHUTTING_DOWN")  # the latter if it came after the signal
        process.communicate(timeout=STOP_S)
        assert process.returncode == 0
        assert '"warning"' not in (tmp_path / ERRORS).read_text(encoding="utf-8")
    kept = rows(tmp_path, "SELECT count(*) FROM messages WHERE settled_us IS NULL")
    assert kept == [(1 if caught.value.code == "REPLY_INTERRUPTED" else 0,)]
