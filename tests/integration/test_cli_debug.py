"""`caxton debug …` and `caxton profile` against the real API on a real socket; what stands behind it is in memory."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from caxton.cli.contexts import Context, Contexts, write_contexts
from caxton.core.ids import DEFAULT_WORKSPACE
from caxton.core.views.agents import AgentSpec
from caxton.core.views.debugging import (
    FrameView,
    InHandView,
    MailboxDebug,
    RateView,
    ReplicaView,
    StackDebug,
    StackView,
    WaitingView,
)
from caxton.testing.fakes.agents import EMPTY_MODULE
from tests.cli_runner import caxton
from tests.integration.fake_node import ADMIN_PROOF, VIEWER_PROOF, RunningNode, running_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caxton.testing.fakes.debugging import FakeDebugging
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner

__all__ = ["caxton"]

IN_HAND = InHandView(
    message_id="m1", timer_id=None, sender="client:me", performative="request", conversation_id="c1", attempt=1,
    size=100, priority=4, handed_at="2026-01-01T00:00:00.000+00:00", for_s=4.2,
)  # fmt: skip


@pytest.fixture
def node(caxton: CliRunner) -> Iterator[RunningNode]:
    with running_node() as node:
        use(node, ADMIN_PROOF)

        def deploy(fakes: FakeNode) -> None:
            work = fakes.agents.deploy(DEFAULT_WORKSPACE, AgentSpec(name="a"), EMPTY_MODULE)
            with pytest.raises(StopIteration):
                work.send(None)

        node.do(deploy)
        yield node


def use(node: RunningNode, token: str) -> None:
    write_contexts(Contexts(current="local", contexts={"local": Context(server=node.url, token=token)}))


def having(node: RunningNode, change: Callable[[FakeDebugging], None]) -> None:
    node.do(lambda fakes: change(fakes.debugging))


# --- debug agent -------------------------------------------------------------------------------------------------


def test_unknown_agent_is_not_found(caxton: CliRunner, node: RunningNode) -> None:
    for option in ("--show-metrics", "--mailbox", "--kv", "--stack"):
        assert caxton("debug", "agent", "nobody", option).code == 3


def test_viewer_may_not_see_inside(caxton: CliRunner, node: RunningNode) -> None:
    use(node, VIEWER_PROOF)
    assert caxton("debug", "agent", "a", "--show-metrics").code == 0
    assert caxton("debug", "agent", "a", "--kv").code == 6


@pytest.mark.parametrize("place", [("x", "1"), ("0", "1.5"), ("-1", "1"), ("0", "0"), ("0", "65537"), ("0x10001", "1")])
def test_memory_that_cannot_be_is_refused(caxton: CliRunner, node: RunningNode, place: tuple[str, str]) -> None:
    outcome = caxton("debug", "agent", "a", "--memory", *place, "-o", "json")
    assert outcome.code in (2, 4)
    assert outcome.problem()["code"] in ("INVALID_VALUE", "OUTSIDE_MEMORY", "INVALID_USAGE")


@pytest.mark.parametrize(
    "options",
    [("--limit", "3"), ("--limit", "3", "--stack"), ("--replica", "1"), ("--replica", "1", "--kv"),
     ("--window", "10s", "--mailbox")],
)  # fmt: skip
def test_option_that_would_change_nothing_is_refused(
    caxton: CliRunner, node: RunningNode, options: tuple[str, ...]
) -> None:
    outcome = caxton("debug", "agent", "a", *options)
    assert (outcome.code, options[0] in outcome.err) == (2, True)


def test_option_is_taken_with_what_it_belongs_to(caxton: CliRunner, node: RunningNode) -> None:
    for options in (("--window", "10s"), ("--limit", "3", "--prefix", "x"), ("--limit", "3", "--mailbox")):
        assert caxton("debug", "agent", "a", *options).code == 0


def test_metrics_are_one_line(caxton: CliRunner, node: RunningNode) -> None:
    def busy(fake: FakeDebugging) -> None:
        fake.tool_calls = RateView(count=900, per_s=15.0, p50_s=0.1, p99_s=5.2)

    having(node, busy)
    (line,) = caxton("debug", "agent", "a", "--show-metrics").out.splitlines()
    assert line.endswith(" | Queue: 0 messages | Tool calls: 15/s (p99: 5.2s)")
    assert line.startswith("Memory: ")


def test_recorder_that_is_off_is_said(caxton: CliRunner, node: RunningNode) -> None:
    def off(fake: FakeDebugging) -> None:
        fake.is_recorded = False

    having(node, off)
    assert "recorder.size" in caxton("debug", "agent", "a", "--show-metrics").err


def test_without_an_option_all_figures_are_shown(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("debug", "agent", "a")
    assert "a is running" in outcome.out
    assert "REPLICA" in outcome.out
    assert caxton("debug", "agent", "a", "-o", "json").json()["name"] == "a"


def test_mailbox_shows_what_waits_and_what_is_in_hand(caxton: CliRunner, node: RunningNode) -> None:
    def mail(fake: FakeDebugging) -> None:
        waiting = WaitingView(
            replica=0, state="waiting", message_id="m2", sender="b\x1b[31m", performative="inform",
            conversation_id="c2", accepted_at="", age_s=75.0, attempt=2, size=2048, priority=9,
        )  # fmt: skip
        replica = ReplicaView(replica=0, is_up=True, memory_bytes=0, waiting=1, handled=0, in_hand=IN_HAND)
        fake.mail = MailboxDebug(name="a", waiting=3, in_hand=[replica], messages=[waiting], left_out=2)

    assert "Nothing waits for a." in caxton("debug", "agent", "a", "--mailbox").out
    having(node, mail)
    out = caxton("debug", "agent", "a", "--mailbox").out
    assert "replica 0 has in hand: request of client:me, conversation c1, for 4.2s" in out
    assert out.splitlines()[2].split()[:4] == ["1m", "15s", "b\\x1b[31m", "inform"]
    assert out.splitlines()[-1] == "3 wait, 2 more are not shown (--limit)"
    assert "\x1b" not in out


def test_state_cannot_steer_the_terminal(caxton: CliRunner, node: RunningNode) -> None:
    def state(fake: FakeDebugging) -> None:
        fake.kv = {b"plain": b"text\nof two", b"other": b"x"}

    assert "No keys" in caxton("debug", "agent", "a", "--kv").out
    having(node, state)
    outcome = caxton("debug", "agent", "a", "--kv", "--prefix", "pl")
    assert outcome.out.splitlines()[1].split(maxsplit=3) == ["plain", "11", "B", "text\\nof two"]
    assert outcome.out.splitlines()[2].startswith("1 key;")


def test_stack_shows_functions_with_their_lines(caxton: CliRunner, node: RunningNode) -> None:
    frames = [
        FrameView(function="look", offset=0x7B, source="stock.c:6"),
        FrameView(function="handle_message", offset=16, source=None),
    ]
    running = StackView(replica=0, state="running", note=None, in_hand=IN_HAND, frames=frames)
    idle = StackView(replica=1, state="not running", note="it has nothing in hand", in_hand=None, frames=[])

    def busy(fake: FakeDebugging) -> None:
        fake.stacks = StackDebug(name="a", replicas=[running, idle], has_source_lines=True)

    having(node, busy)
    lines = caxton("debug", "agent", "a", "--stack").out.splitlines()
    assert lines[0].endswith("replica 0 running: request of client:me, conversation c1, for 4.2s")
    assert [line.split() for line in lines[1:3]] == [
        ["look", "stock.c:6", "(at", "0x7b", "of", "the", "module)"],
        ["handle_message", "-", "(at", "0x10", "of", "the", "module)"],
    ]
    assert lines[3].endswith("replica 1 not running: it has nothing in hand")


def test_memory_is_dumped_and_several_things_can_be_asked_at_once(caxton: CliRunner, node: RunningNode) -> None:
    out = caxton("debug", "agent", "a", "--memory", "0x100", "16").out
    assert out == "00000100  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|\n"
    both = caxton("debug", "agent", "a", "--memory", "256", "2", "--show-metrics", "-o", "json").json()
    assert (both["memory"]["data"], both["metrics"]["name"]) == ("0001", "a")


# --- profile -----------------------------------------------------------------------------------------------------


def test_profile_is_written_as_it_came(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("profile", "--agent", "a", "--duration", "1s", "--output", "p.json").code == 0
    assert json.loads((caxton.home / "p.json").read_bytes())["meta"] == {}
    outcome = caxton("profile", "--agent", "a", "--duration", "1s", "-o", "json")
    assert outcome.json() == {"file": "a-profile.json", "samples": 3, "functions": []}


def test_profile_that_cannot_be_written_or_taken_is_refused(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("profile", "--agent", "a", "--duration", "1s", "--output", "no/such/place.json")
    assert (outcome.code, "cannot be written" in outcome.err) == (4, True)
    assert caxton("profile", "--agent", "a", "--duration", "1h").code == 4
    assert caxton("profile", "--agent", "nobody").code == 3


@pytest.mark.parametrize(
    "command", [("profile", "--agent", "a", "--duration", "1s"), ("debug", "bundle")], ids=("profile", "bundle")
)
def test_file_that_is_there_is_replaced_only_if_that_is_said(
    caxton: CliRunner, node: RunningNode, command: tuple[str, ...]
) -> None:
    path = caxton.home / "mine"
    path.write_text("precious")
    outcome = caxton(*command, "--output", "mine")
    assert (outcome.code, "--force" in outcome.err, path.read_text()) == (4, True, "precious")
    assert caxton(*command, "--output", "mine", "--force").code == 0
    assert path.read_bytes() != b"precious"


# --- bundle ------------------------------------------------------------------------------------------------------

TOKEN, KEY, OTHER = "planted-token-000000", "planted-key-111111", "planted-other-222222"


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            member.name.partition("/")[2]: data.read().decode()
            for member in archive
            if (data := archive.extractfile(member)) is not None
        }


def test_archive_has_no_secret_though_every_source_was_full_of_them(
    caxton: CliRunner, node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = f'plain {TOKEN} {KEY}\n{{"api_key": "{OTHER}"}} Authorization: Bearer {OTHER}\n{ADMIN_PROOF}'

    def plant(fakes: FakeNode) -> None:
        fakes.bundle.files = {"logs.jsonl": planted, "settings.json": planted, "../../etc/passwd": planted}

    node.do(plant)
    monkeypatch.setenv("CAXTON_TOKEN", ADMIN_PROOF)
    contexts = {
        "local": Context(server=node.url, token=ADMIN_PROOF), "far": Context(server="http://far:1", token=TOKEN),
        "old": Context(server="http://old:1", token=KEY),
    }  # fmt: skip
    write_contexts(Contexts(current="local", contexts=contexts))
    outcome = caxton("debug", "bundle", "--output", "report.tar.gz")
    assert outcome.code == 0
    files = contents(caxton.home / "report.tar.gz")
    assert set(files) == {
        "cli.json", "doctor.json", "server/logs.jsonl", "server/settings.json", "server/_.._etc_passwd",
    }  # fmt: skip
    whole = "\n".join(files.values())
    assert [secret for secret in (TOKEN, KEY, OTHER, ADMIN_PROOF) if secret in whole] == []
    assert {check["name"] for check in json.loads(files["doctor.json"])} >= {"python", "sandbox", "disk speed"}
    assert stat.S_IMODE(os.stat(caxton.home / "report.tar.gz").st_mode) == 0o600


def test_archive_is_made_without_a_server_too(caxton: CliRunner) -> None:
    outcome = caxton("debug", "bundle", "-o", "json", "--server", "http://127.0.0.1:9")
    assert outcome.code == 0
    assert outcome.json()["missing"]
    files = contents(caxton.home / outcome.json()["file"])
    assert set(files) == {"cli.json", "doctor.json", "server/missing.txt"}


def test_archive_that_cannot_be_written_is_said_so(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("debug", "bundle", "--output", "no/such/place.tar.gz").code == 4
