"""`caxton message` in FIPA's string encoding, against the real API on a real socket."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from caxton.messages.fipa_string import MAX_STRING_BYTES, decode_fipa
from tests.cli_runner import caxton
from tests.integration.scripted_server import answer, scripted
from tests.integration.test_cli import deployed, node, shared_node

if TYPE_CHECKING:
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]

REQUEST = '(request :receiver (set (agent-identifier :name ping@caxton)) :content "größe" :conversation-id c-9)'


def kept(node: RunningNode) -> list[dict[str, Any]]:
    return [json.loads(one) for one in node.do(lambda fakes: fakes.messages.kept.get("c-9", []))]


@pytest.mark.parametrize("source", ["argument", "file", "standard input"])
def test_message_as_fipa_writes_it_is_sent(
    caxton: CliRunner, node: RunningNode, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    deployed(caxton, "ping")
    (caxton.home / "m.acl").write_text(REQUEST, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(REQUEST.encode())))
    given = {"argument": REQUEST, "file": "@m.acl", "standard input": "-"}[source]
    outcome = caxton("message", "send", "--acl", given)
    assert (outcome.code, outcome.err) == (0, "")
    assert [(one["performative"], one["content"]) for one in kept(node)] == [("request", "größe"), ("inform", "größe")]


def test_reply_and_conversation_are_printed_as_fipa_writes_them(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    outcome = caxton("message", "send", "--acl", REQUEST, "--wait-reply", "--format", "fipa", "-o", "json")
    assert outcome.code == 0
    reply = decode_fipa(outcome.out.encode(), wall_us=0)
    assert (reply.performative, reply.sender, bytes(reply.content)) == ("inform", "ping", '"größe"'.encode())
    listed = caxton("message", "list", "--conversation-id", "c-9", "--format", "fipa").out
    assert listed.endswith(outcome.out)
    assert decode_fipa(listed.removesuffix(outcome.out).encode(), wall_us=0).receiver == "ping"


def test_reply_that_says_no_is_a_failure_in_any_encoding(caxton: CliRunner) -> None:
    said = {"performative": "refuse", "sender": "ping", "content": "no\x1b[31m", "conversation_id": "c-1"}
    with scripted(answer(json.dumps(said).encode())) as server:
        outcome = caxton(
            "message", "send", "--acl", REQUEST, "--wait-reply", "--format", "fipa", "--server", server.url
        )
    assert (outcome.code, outcome.out.splitlines()[0]) == (9, "(refuse")
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--to", "ping"], "--to"),
        (["--capability", "x"], "--capability"),
        (["--content", "1"], "--content"),
        (["--performative", "request"], "--performative"),
        (["--reply-by", "2031-05-17T09:30:00Z", "--ttl", "1s"], "--ttl, --reply-by"),
        (["--priority", "0"], "--priority"),
        (["--reply-to", "a", "--parent-conversation", "c"], "--parent-conversation, --reply-to"),
        (["--message-id", "m"], "--message-id"),
    ],
)
def test_whole_message_bears_no_options_beside_it(
    caxton: CliRunner, node: RunningNode, options: list[str], named: str
) -> None:
    deployed(caxton, "ping")
    outcome = caxton("message", "send", "--acl", REQUEST, *options)
    assert outcome.code == 2
    assert f"leave out {named}" in outcome.err
    assert kept(node) == []


@pytest.mark.parametrize(
    ("message", "code", "word"),
    [
        ("", 4, "line 1, column 1"),
        ("(inform :content", 4, "line 1, column 17"),
        ("(inform)", 4, "receiver"),
        ("(infrom)", 4, "did you mean 'inform'?"),
        ("@nowhere.acl", 3, "nowhere.acl"),
        ("(request :receiver (agent-identifier :name ping@elsewhere))", 3, "ping@elsewhere"),
    ],
)
def test_bad_message_is_refused(caxton: CliRunner, node: RunningNode, message: str, code: int, word: str) -> None:
    deployed(caxton, "ping")
    outcome = caxton("message", "send", "--acl", message)
    assert outcome.code == code
    assert word in outcome.err


def test_file_over_the_limit_is_not_read(caxton: CliRunner, node: RunningNode) -> None:
    (caxton.home / "big.acl").write_text("(inform" + " " * MAX_STRING_BYTES + ")")
    outcome = caxton("message", "send", "--acl", "@big.acl", "-o", "json")
    assert outcome.problem()["code"] == "FILE_UNREADABLE"


def test_format_is_for_replies(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("message", "send", "--acl", REQUEST, "--format", "fipa")
    assert outcome.code == 2
    assert "--wait-reply" in outcome.err
    assert kept(node) == []


def test_without_any_receiver_nothing_is_sent(caxton: CliRunner, node: RunningNode) -> None:
    for options in ([], ["--to", "ping", "--capability", "x"]):
        assert caxton("message", "send", "--content", "1", *options).code == 2
