"""`caxton task …` against the real API on a real socket; what stands behind the API is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.client import CaxtonClient
from caxton.natives.tasks.contract import Due, Event, Heard
from caxton.natives.tasks.store import Result
from caxton.testing.fakes.agents import EMPTY_MODULE
from caxton.testing.fakes.tasks import AT_US
from tests.cli_runner import CliRunner, caxton
from tests.integration.fake_node import ADMIN_PROOF, VIEWER_PROOF, RunningNode
from tests.integration.test_cli import node, shared_node

if TYPE_CHECKING:
    from caxton.testing.fakes.node import FakeNode

__all__ = ["caxton", "node", "shared_node"]

CREATE = ("task", "create", "--participants", "ping,pong", "--id", "t")


@pytest.fixture
def bidders(caxton: CliRunner, node: RunningNode) -> CliRunner:
    """The command, with two agents that can be called and no tasks."""
    node.do(lambda fakes: fakes.tasks.clear())
    for name in ("ping", "pong"):
        (caxton.home / f"{name}.wasm").write_bytes(EMPTY_MODULE)
        assert caxton("deploy", f"{name}.wasm").code == 0
    return caxton


def happen(node: RunningNode, *events: Event, results: tuple[Result, ...] = ()) -> None:
    def work(fakes: FakeNode) -> None:
        for event in events:
            fakes.tasks.happens("t", event, *results)

    node.do(work)


def proposal(name: str, cost: float) -> Heard:
    return Heard(name, "propose", b'{"cost": %g, "time_s": 4}' % cost, "", AT_US)


def done() -> Heard:
    return Heard("pong", "inform", b'{"text": "bonjour"}', "", AT_US + 2_000_000)


RESULT = Result("pong", b'{"text": "bon\\u001bjour"}', {"time_s": 2.0})


def test_a_task_is_created_as_the_options_say(bidders: CliRunner) -> None:
    outcome = bidders(
        *CREATE, "--content", '{"do": "it"}', "--deadline", "1m", "--max-cost", "5", "--max-tokens", "900",
        "--weight", "cost=2,time=1", "--weight", "confidence=0.5", "--winners", "2",
    )  # fmt: skip
    assert (outcome.code, outcome.out) == (0, "✓ Task t: 2 agents are called, who have 1m to propose\n")
    task = bidders("task", "show", "t", "-o", "json").json()
    assert (task["content"], task["max_cost"], task["max_tokens"]) == ({"do": "it"}, 5.0, 900.0)
    assert (task["weights"], task["winners"]) == ({"confidence": 0.5, "cost": 2.0, "time": 1.0}, 2)
    assert bidders(*CREATE, "--content", "2").code == 5  # another task under the same id


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 2, "either --participants or --capability"),
        (("--participants", "a", "--capability", "c"), 2, "either --participants or --capability"),
        (("--participants", "a b"), 4, "INVALID_NAME"),
        (("--participants", "ping", "--content", "hello"), 4, "needs quotes of its own"),
        (("--participants", "ping", "--weight", "cost"), 4, "write it like cost=2,time=1"),
        (("--participants", "ping", "--weight", "cost=dear"), 4, "write it like cost=2,time=1"),
        (("--participants", "ping", "--weight", "beauty=1"), 4, "INVALID_VALUE"),
        (("--participants", "ping", "--deadline", "0s"), 4, "INVALID_VALUE"),
        (("--participants", "nobody"), 3, "UNKNOWN_RECEIVER"),
    ],
)
def test_what_cannot_be_is_told(bidders: CliRunner, options: tuple[str, ...], code: int, said: str) -> None:
    outcome = bidders("task", "create", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_show_tells_bids_award_result_and_reasons(bidders: CliRunner, node: RunningNode) -> None:
    assert bidders(*CREATE, "--content", '"greet"').code == 0
    happen(node, proposal("ping", 7), proposal("pong", 3))
    shown = bidders("task", "show", "t")
    assert shown.code == 0
    assert "Task t is awarded" in shown.out
    happen(node, done(), results=(RESULT,))
    lines = bidders("task", "show", "t").out.splitlines()
    assert lines[0] == "✓ Task t is done"
    assert any(line.split() == ["content", '"greet"'] for line in lines)
    rows = {line.split()[0]: line.split() for line in lines if line.startswith(("ping", "pong"))}
    assert rows["ping"][:6] == ["ping", "rejected", "7", "4", "s", "1"]
    assert " ".join(rows["ping"][6:]) == "outbid - another proposal was better"
    assert rows["pong"] == ["pong", "done", "3", "4", "s", "0"]
    assert lines[-2:] == ["Result of pong after 2 s:", '{"text": "bon\\u001bjour"}']


def test_a_task_that_is_waited_for_and_not_done_is_a_failure(bidders: CliRunner, node: RunningNode) -> None:
    bidders(*CREATE)
    happen(node, Due(AT_US))
    outcome = bidders("task", "show", "t", "--wait")
    assert outcome.code == 9
    assert outcome.out.startswith("✗ Task t is no-bids: nobody made a proposal")
    assert bidders("task", "show", "t").code == 0
    assert bidders(*CREATE, "--wait", "-o", "json").code == 9


def test_a_task_that_is_waited_for_and_done_is_shown(bidders: CliRunner, node: RunningNode) -> None:
    bidders(*CREATE)
    happen(node, proposal("ping", 7), proposal("pong", 3), done(), results=(RESULT,))
    outcome = bidders(*CREATE, "--wait")
    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "✓ Task t is done")


def test_tasks_are_listed_with_who_got_them(bidders: CliRunner, node: RunningNode) -> None:
    assert bidders("task", "list").out == "No tasks.\n"
    bidders(*CREATE)
    happen(node, proposal("ping", 7), proposal("pong", 3))
    lines = bidders("task", "list").out.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "CREATED", "BY", "PROPOSALS", "AWARDED", "TO", "REASON"]
    assert (lines[1].split()[:2], lines[1].split()[-2:], lines[2]) == (["t", "awarded"], ["2/2", "pong"], "1 task")
    assert bidders("task", "list", "--status", "done", "-o", "json").json() == {"tasks": [], "total": 0}
    assert bidders("task", "list", "--status", "lost").code == 4


def test_cancel_says_so_and_what_has_ended_cannot_be(bidders: CliRunner, node: RunningNode) -> None:
    bidders(*CREATE)
    outcome = bidders("task", "cancel", "t", "--reason", "found it")
    assert (outcome.code, outcome.out) == (0, "✓ Task t is cancelled\n")
    assert bidders("task", "show", "t", "-o", "json").json()["reason"] == "found it"
    bidders("task", "create", "--participants", "ping", "--id", "u")
    node.do(lambda fakes: fakes.tasks.happens("u", Due(AT_US)))
    outcome = bidders("task", "cancel", "u")
    assert outcome.code == 5
    assert "TASK_ENDED" in outcome.err


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_an_unknown_task_is_not_found(bidders: CliRunner, command: str) -> None:
    outcome = bidders("task", command, "nothing")
    assert outcome.code == 3
    assert "TASK_NOT_FOUND" in outcome.err
    assert bidders("task", command, "../agents").code == 4


def test_who_waits_for_a_task_asks_the_server_to(bidders: CliRunner, node: RunningNode) -> None:
    bidders(*CREATE)
    with CaxtonClient(node.url, ADMIN_PROOF) as client:
        assert client.task("t", wait_s=2.5).status == "calling"
    assert node.do(lambda fakes: fakes.tasks.waits) == [("t", 2.5)]
    with CaxtonClient(node.url, VIEWER_PROOF) as client:
        assert [task.id for task in client.tasks(limit=1)] == ["t"]
