"""`caxton sniff` as a process with a pipe, and in the test; what it listens to is in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from caxton.cli.output import Screen
from caxton.client import CaxtonClient
from tests.cli_runner import Outcome, caxton
from tests.integration.fake_node import ADMIN_PROOF
from tests.integration.test_cli import deployed, node, shared_node
from tests.patience import until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node", "shared_node"]

WAIT_S = 20


@pytest.fixture(autouse=True)
def _nothing_said(node: RunningNode) -> None:  # pyright: ignore[reportUnusedFunction]
    node.do(lambda fakes: fakes.sniff.seen.clear())


@contextmanager
def sniffing(home: Path, node: RunningNode, *options: str, **environment: str) -> Generator[subprocess.Popen[str]]:
    """The command as a process, once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "caxton", "sniff", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=home,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "", **environment},
    )  # fmt: skip
    with process:
        try:
            until(lambda: process.poll() is not None or node.do(lambda fakes: len(fakes.sniff.listeners)))
            yield process
        finally:
            process.kill()


def say(node: RunningNode, *ends: tuple[str, str], **facts: Any) -> None:
    def write(fakes: FakeNode) -> None:
        for sender, receiver in ends:
            fakes.sniff.write(sender, receiver, **facts)

    node.do(write)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WAIT_S)
    return process.returncode, out, err


# --- live --------------------------------------------------------------------------------------------------------


def test_messages_are_drawn_as_they_come_until_interrupted(caxton: CliRunner, node: RunningNode) -> None:
    with sniffing(caxton.home, node, COLUMNS="70") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "Listening" in process.stderr.readline()
        say(node, ("ping", "pong"))
        assert process.stdout.readline().split() == ["ping", "pong"]
        assert process.stdout.readline() == "     +0.000s               ├───────── inform ─────────>│\n"
        say(node, ("pong", "ping"))
        assert process.stdout.readline().split()[:2] == ["+0.001s", "│<─────────"]
        say(node, ("pong", "other"))
        assert process.stdout.readline().split() == ["ping", "pong", "other"]
        process.send_signal(signal.SIGINT)
        code, rest, err = ended(process)
        assert (code, "\x1b" in rest, err) == (130, False, "")
    until(lambda: node.do(lambda fakes: not fakes.sniff.listeners))


def test_pipe_gets_no_colour_no_cursor_movement_and_no_line_that_is_too_wide(
    caxton: CliRunner, node: RunningNode
) -> None:
    hostile = "client:\x1b[2J\x07管理\u202e"
    with sniffing(caxton.home, node, "--max", "3", "--width", "60", "--content") as process:
        say(node, ("ping", hostile), (hostile, "x" * 200), excerpt="\x1b]0;owned\x07\r\n\t" + "y" * 300)
        say(node, *(("ping", f"pong-{n}") for n in range(1)))
        code, out, _ = ended(process)
    assert code == 0
    assert not {char for char in out if ord(char) < 32} - {"\n"}
    assert not {"\x9b", "\u202e"} & {*out}
    assert max(map(len, out.splitlines())) <= 60


def test_json_has_one_object_in_each_line(caxton: CliRunner, node: RunningNode) -> None:
    with sniffing(caxton.home, node, "-o", "json", "--max", "2") as process:
        say(node, ("ping", "pong"))
        node.do(lambda fakes: fakes.sniff.miss(12))
        say(node, ("pong", "ping"))
        code, out, err = ended(process)
    first, gap, second = map(json.loads, out.splitlines())
    assert (code, err, gap) == (0, "", {"missed": 12})
    assert (first["sender"], first["performative"], second["sender"], second["seq"]) == ("ping", "inform", "pong", 2)


def test_only_what_was_asked_for_is_shown(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping", "pong")
    options = ["--agents", "ping, client:admin", "--agent", "pong", "--conversation", "c/2", "--max", "1", "-o", "json"]
    with sniffing(caxton.home, node, *options) as process:
        say(node, ("ping", "pong"))
        say(node, ("other", "another"), conversation_id="c/2")
        say(node, ("other", "client:admin"), conversation_id="c/2")
        assert json.loads(ended(process)[1])["receiver"] == "client:admin"


def test_it_leaves_after_its_time_although_nothing_is_said(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("sniff", "--for", "50ms", "-q") == Outcome(0, "", "")


def test_it_leaves_after_so_many_messages(caxton: CliRunner, node: RunningNode) -> None:
    with sniffing(caxton.home, node, "--max", "2") as process:
        say(node, ("a", "b"), ("b", "c"), ("c", "a"))
        code, out, _ = ended(process)
    assert (code, out.count(">") + out.count("<")) == (0, 2)


def test_reader_that_leaves_early_is_no_error(caxton: CliRunner, node: RunningNode) -> None:
    with sniffing(caxton.home, node) as process:
        assert process.stdout is not None
        process.stdout.close()
        say(node, *[("a", "b")] * 5)
        assert process.wait(WAIT_S) == 0


def test_ascii_is_enough(caxton: CliRunner, node: RunningNode) -> None:
    with sniffing(caxton.home, node, "--max", "1", PYTHONIOENCODING="ascii") as process:
        say(node, ("ping", "pong"), event="dead", reason="failed")
        _, out, _ = ended(process)
    assert out.isascii()
    assert "inform (failed)" in out
    assert ".x|" in out


def test_what_prints_while_it_waits_has_no_spinner_among_its_lines(
    caxton: CliRunner, node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Screen, text: str) -> None:
        raise AssertionError(text)

    monkeypatch.setattr(Screen, "busy", busy)
    assert caxton("sniff", "--for", "1ms").code == 0
    assert caxton("logs", "--agent", "nobody", "--follow").code == 3


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--agents", ","], 2, "names no agent"),
        (["--format", "svg"], 2, "name it with --conversation-id"),
        (["--format", "text", "--conversation", "c", "--for", "3s"], 2, "are for listening"),
        (["--format", "text", "--conversation", "c", "--max", "3"], 2, "are for listening"),
        (["--format", "png", "--conversation", "c"], 2, "png"),
        (["--max", "0"], 2, "--max"),
        (["--width", "39"], 2, "--width"),
        (["--for", "soon"], 4, "--for"),
        (["--for", "25h"], 4, "INVALID_VALUE"),
        (["--agents", "pign"], 3, "did you mean 'ping'?"),
        (["--agents", "a/b"], 4, "INVALID_NAME"),
        (["--conversation", "x" * 1025], 4, "INVALID_REQUEST"),
    ],
)
def test_slip_is_told(caxton: CliRunner, node: RunningNode, options: list[str], code: int, said: str) -> None:
    deployed(caxton, "ping")
    outcome = caxton("sniff", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_listener_too_many_is_told(caxton: CliRunner, node: RunningNode) -> None:
    most = node.do(lambda fakes: fakes.sniff.most)
    node.do(lambda fakes: setattr(fakes.sniff, "most", 0))
    outcome = caxton("sniff")
    node.do(lambda fakes: setattr(fakes.sniff, "most", most))
    assert (outcome.code, "TOO_MANY_LISTENERS" in outcome.err) == (5, True)


# --- what has been -----------------------------------------------------------------------------------------------


def test_conversation_that_is_over_is_drawn_with_all_its_names_from_the_start(
    caxton: CliRunner, node: RunningNode
) -> None:
    say(node, ("a", "b"), ("b", "c"), ("c", "client:admin"), conversation_id="c 1/ü")
    say(node, ("x", "y"))
    outcome = caxton("sniff", "--conversation", "c 1/ü", "--format", "text", "--absolute")
    header, *rows = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert header.split() == ["a", "b", "c", "client:admin"]
    assert [row.split()[0] for row in rows] == ["08:00:00.001", "08:00:00.002", "08:00:00.003"]
    lines = caxton("sniff", "--conversation", "c 1/ü", "--format", "text", "-o", "json").out.splitlines()
    assert [json.loads(line)["sender"] for line in lines] == ["a", "b", "c"]


def test_conversation_as_mermaid_and_svg_has_hostile_names_as_text(caxton: CliRunner, node: RunningNode) -> None:
    hostile = "client:</text><script>alert(1)</script>\nparticipant x"
    say(node, ("a", hostile), (hostile, "a"), excerpt="]]><script>")
    mermaid = caxton("sniff", "--conversation", "c-1", "--format", "mermaid", "-o", "json").out
    assert [line.split()[0] for line in mermaid.splitlines()] == [
        "sequenceDiagram", "participant", "participant", "p0->>p1:", "p1->>p0:",
    ]  # fmt: skip
    svg = caxton("sniff", "--conversation", "c-1", "--format", "svg").out
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert sum(element.get("class") == "message" for element in root.iter()) == 2


def test_names_leave_only_their_messages_in_the_picture(caxton: CliRunner, node: RunningNode) -> None:
    say(node, ("a", "b"), ("b", "c"), ("c", "d"))
    out = caxton("sniff", "--conversation", "c-1", "--format", "mermaid", "--agents", "c").out
    assert out.count("->>") == 2


@pytest.mark.parametrize("form", ["text", "mermaid", "svg"])
def test_conversation_that_nobody_knows_is_told_and_is_no_error(
    caxton: CliRunner, node: RunningNode, form: str
) -> None:
    outcome = caxton("sniff", "--conversation", "none", "--format", form)
    assert outcome.code == 0
    assert "no message of this conversation is remembered" in outcome.err
    assert "message" not in outcome.out


# --- the client --------------------------------------------------------------------------------------------------


def test_client_that_stops_listening_is_forgotten(node: RunningNode) -> None:
    opened: list[bool] = []
    with CaxtonClient(node.url, ADMIN_PROOF) as client:
        events = client.sniff(on_open=lambda: opened.append(True) or say(node, ("a", "b")))
        seen = next(events)
        assert (opened, getattr(seen, "sender", None)) == ([True], "a")
        events.close()  # type: ignore[attr-defined]
        until(lambda: node.do(lambda fakes: not fakes.sniff.listeners))
