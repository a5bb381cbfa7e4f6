"""What is told about a server's figures, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from caxton.cli.advice import advise
from caxton.testing.fakes.stats import agent_figures, node_figures

GIB = 1 << 30


def test_server_that_is_well_is_told_nothing() -> None:
    agents = [agent_figures("a", rate_per_s=9.0, ended_in_window=540, queue=999, failed=70, restarts=3)]
    assert advise(node_figures(agents={"running": 1, "stopped": 4}, circuits={"closed": 1, "off": 2}), agents) == []


@pytest.mark.parametrize(
    ("node", "agents", "code", "told"),
    [
        ({"causes": ["disk-full"], "status": "read-only"}, [], "disk-full", "free disk space"),
        ({"causes": ["journal-full"]}, [], "journal-full", "caxton storage compact"),
        ({"causes": ["log-full"]}, [], "log-full", "end the program"),
        ({"causes": ["dead-letters-full"]}, [], "dead-letters-full", "caxton dlq purge"),
        ({"causes": ["flood"]}, [], "flood", "caxton storage status"),
        ({"status": "starting"}, [], "starting", "caxton server status"),
        ({"status": "stopping"}, [], "stopping", "caxton server start"),
        ({"storage_failures": {"full": 9, "io": 2, "other": 0}}, [], "disk-errors", "caxton storage verify"),
        ({"agents": {"failed": 2}}, [{"status": "failed"}], "failed-agents", "caxton agent start a0"),
        ({"agents": {"failed": 1}}, [], "failed-agents", "caxton agent start NAME"),
        ({"circuits": {"open": 1}}, [{"circuit": "open"}], "open-breakers", "--agent a0"),
        ({"circuits": {"half_open": 1}}, [{"circuit": "half_open"}], "open-breakers", "--agent a0"),
        ({}, [{"replicas": 2}], "missing-instances", "--agent a0"),
        ({}, [{"failed_in_window": 5, "ended_in_window": 50}], "failing-agents", "--agent a0"),
        ({}, [{"queue": 1000}], "backlog", "caxton scale --agent a0"),
        ({}, [{"queue": 8, "queue_limit": 10}], "backlog", "caxton scale --agent a0"),
        ({}, [{"queue": 1000, "status": "stopped", "healthy": 0}], "mail-of-stopped", "caxton agent start a0"),
        ({}, [{"queue": 1000, "type": "native"}], "mail-of-own", "caxton debug agent a0 --mailbox"),
        ({}, [{"type": "vacant", "queue": 1}], "mail-without-agent", "deploy a0"),
        ({"disk_free_bytes": 4 * GIB - 1, "disk_low_bytes": GIB}, [], "disk-low", "below 1.0 GiB"),
        ({"journal_bytes": 8, "journal_limit_bytes": 10}, [], "journal-large", "storage compact"),
        ({"wal_bytes": 8, "wal_limit_bytes": 10}, [], "log-large", "reads the journal"),
        ({"dead_letters_bytes": 8, "dead_letters_limit_bytes": 10}, [], "many-dead-letters", "dlq list"),
        ({"queue": 8, "queue_limit": 10}, [], "much-mail", "caxton top --sort queue"),
        ({"deadlocks": 1}, [], "deadlock", "caxton conversation deadlocks"),
        ({"dead_letters": 3}, [], "dead-letters", "caxton dlq list"),
    ],
)
def test_each_thing_is_told_once_with_what_to_do(
    node: dict[str, Any], agents: list[dict[str, Any]], code: str, told: str
) -> None:
    (advice,) = advise(node_figures(**node), [agent_figures(f"a{n}", **fields) for n, fields in enumerate(agents)])
    assert advice.code == code
    assert told in advice.todo
    assert advice.text


@pytest.mark.parametrize(
    ("node", "agent"),
    [
        ({}, {"failed_in_window": 4, "ended_in_window": 4}),
        ({}, {"failed_in_window": 50, "ended_in_window": 501}),
        ({}, {"type": "vacant", "queue": 0}),
        ({}, {"status": "stopped", "healthy": 0}),
        ({"storage_failures": {"full": 9, "io": 0, "other": 0}}, {}),
        ({"disk_free_bytes": 4 * GIB, "disk_low_bytes": GIB}, {}),
        ({"journal_bytes": 79, "journal_limit_bytes": 100}, {}),
    ],
)
def test_little_is_not_told(node: dict[str, Any], agent: dict[str, Any]) -> None:
    assert advise(node_figures(**node), [agent_figures("a", **agent)]) == []


@pytest.mark.parametrize(
    ("node", "agent", "codes"),
    [
        ({"circuits": {"open": 1}}, {"circuit": "open"}, ["open-breakers"]),
        ({"circuits": {"half_open": 1}}, {"circuit": "half_open"}, ["open-breakers"]),
        ({"agents": {"failed": 1}}, {"status": "failed", "healthy": 0}, ["failed-agents"]),
        ({}, {"replicas": 2, "healthy": 1}, ["missing-instances"]),
        ({}, {"failed_in_window": 9, "ended_in_window": 9}, ["failing-agents"]),
        ({}, {"status": "draining"}, []),
    ],
)
def test_replicas_are_not_advised_where_they_would_not_help(
    node: dict[str, Any], agent: dict[str, Any], codes: list[str]
) -> None:
    found = advise(node_figures(**node), [agent_figures("a", queue=5000, **agent)])
    assert [one.code for one in found] == codes
    assert not any("scale" in one.todo for one in found)


def test_what_refuses_messages_comes_first_and_is_not_told_twice() -> None:
    node = node_figures(
        causes=["dead-letters-full"], dead_letters=5, dead_letters_bytes=10, dead_letters_limit_bytes=10,
        agents={"failed": 1},
    )  # fmt: skip
    codes = [one.code for one in advise(node, [])]
    assert codes == ["dead-letters-full", "failed-agents"]


def test_disk_that_is_full_is_not_also_low() -> None:
    node = node_figures(causes=["disk-full"], disk_free_bytes=0)
    assert [one.code for one in advise(node, [])] == ["disk-full"]


def test_many_agents_are_named_by_three() -> None:
    agents = [agent_figures(f"a{n}", status="failed") for n in range(5)]
    (advice,) = advise(node_figures(agents={"failed": 5}), agents)
    assert advice.text == "5 agents failed (a0, a1, a2 and 2 more)"
