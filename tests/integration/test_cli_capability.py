"""`caxton capability …` against the real API on a real socket; what stands behind the API is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

from caxton.testing.fakes.capabilities import capability, offer
from tests.cli_runner import caxton
from tests.integration.cli_node import node

if TYPE_CHECKING:
    from caxton.core.views.capabilities import CapabilityView
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node"]


def offered(node: RunningNode, *views: CapabilityView) -> None:
    def put(fakes: FakeNode) -> None:
        fakes.capabilities.views = list(views)

    node.do(put)


def test_one_that_is_not_offered_is_answered_with_the_nearest(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("capability", "list", "sortng", "-o", "json")
    assert outcome.code == 3
    assert (outcome.problem()["code"], outcome.problem()["details"]["nearest"]) == (
        "CAPABILITY_NOT_FOUND", ["sorting"]
    )  # fmt: skip


def test_each_agent_has_a_line_with_what_routing_goes_by(caxton: CliRunner, node: RunningNode) -> None:
    lines = caxton("capability", "list").out.splitlines()
    assert lines[0].split() == ["CAPABILITY", "AGENT", "PRIORITY", "HEALTH", "LOAD", "WAITING", "SOURCE"]
    assert lines[2].split() == ["sorting", "b", "50", "degraded", "25%", "7", "deployed"]
    assert lines[3] == "1 capability"
    assert caxton("capability", "list", "sorting").out.splitlines() == lines


def test_json_is_what_the_server_says(caxton: CliRunner, node: RunningNode) -> None:
    found = caxton("capability", "list", "--output", "json").json()
    assert (found["total"], [one["agent"] for one in found["capabilities"][0]["agents"]]) == (1, ["a", "b"])


def test_none_at_all_is_said_so(caxton: CliRunner, node: RunningNode) -> None:
    offered(node)
    outcome = caxton("capability", "list")
    assert (outcome.code, outcome.out) == (0, "No capabilities.\n")
    assert "deploy" in outcome.err


def test_all_pages_are_shown(caxton: CliRunner, node: RunningNode) -> None:
    offered(node, *(capability(f"c{n}", offer("a", 1, registered=True)) for n in range(5)))
    with mock.patch("caxton.cli.capability.PAGE", 2):
        lines = caxton("capability", "list").out.splitlines()
    assert ([line.split()[0] for line in lines[1:6]], lines[6]) == ([f"c{n}" for n in range(5)], "5 capabilities")
