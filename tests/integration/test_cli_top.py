"""`caxton top --once`, `caxton status`, and live screens without a terminal, against the real API on a real socket."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caxton.testing.fakes.stats import handling, times_view
from tests.cli_runner import caxton
from tests.integration.cli_node import node

if TYPE_CHECKING:
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner
    from tests.integration.fake_node import RunningNode

__all__ = ["caxton", "node"]


def deployed(caxton: CliRunner, *names: str) -> None:
    (caxton.home / "m.wasm").write_bytes(b"\0asm\1\0\0\0")
    for name in names:
        assert caxton("deploy", caxton.home / "m.wasm", "--name", name).code == 0


def figures(node: RunningNode, name: str, **fields: Any) -> None:
    node.do(lambda fakes: fakes.stats.figures.update({name: fields}))


@pytest.mark.parametrize(
    ("option", "value"),
    [("--window", "soon"), ("--window", "0.5s"), ("--window", "2h"), ("--every", "0"), ("--every", "2m")],
)
def test_nonsense_is_refused(caxton: CliRunner, node: RunningNode, option: str, value: str) -> None:
    for command in (["top", "--once"], ["monitor"]):
        outcome = caxton(*command, option, value, "-o", "json")
        assert (outcome.code, outcome.problem()["code"]) == (4, "INVALID_VALUE")


@pytest.mark.parametrize(
    ("command", "instead"), [(["top"], "caxton top --once"), (["monitor", "--dashboard"], "caxton status")]
)
def test_live_screen_without_a_terminal_says_what_to_use_instead(
    caxton: CliRunner, node: RunningNode, command: list[str], instead: str
) -> None:
    outcome = caxton(*command)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"'{instead}'" in outcome.err
    problem = caxton(*command, "-o", "json").problem()
    assert (problem["code"], instead in problem["detail"]) == ("INVALID_USAGE", True)


def test_server_that_is_not_there_is_told_as_ever(caxton: CliRunner) -> None:
    outcome = caxton("top", "--once", "--server", "http://127.0.0.1:1", "-o", "json")
    assert (outcome.code, outcome.problem()["code"]) == (
        caxton("agent", "list", "--server", "http://127.0.0.1:1").code, "SERVER_UNREACHABLE"
    )  # fmt: skip


def test_once_prints_a_table_and_leaves(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "idle", "busy")
    figures(node, "busy", rate_per_s=2.0, handling=times_view(0.5, 3), queue=4)
    lines = caxton("top", "--once").out.splitlines()
    assert lines[0].startswith("✓ caxton 0.0.0  ready")
    assert lines[3].split() == [
        "AGENT", "STATE", "RATE/S", "P50", "P99", "WAIT", "P99", "QUEUE", "MEMORY", "RESTARTS", "FAILED", "BREAKER"
    ]  # fmt: skip
    assert lines[4].split()[:7] == ["busy", "running", "2.0", "500µs", "3ms", "-", "4"]
    assert lines[-1] == "2 agents by rate"


def test_once_can_be_put_in_order_and_narrowed(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "a1", "a2", "b1")
    figures(node, "a2", queue=9, failed_in_window=1)
    names = [line.split()[0] for line in caxton("top", "--once", "--sort", "queue").out.splitlines()[4:-1]]
    assert names == ["a2", "a1", "b1"]
    lines = caxton("top", "--once", "--filter", "A", "--limit", "1").out.splitlines()
    assert lines[-1] == "1 of 2 agents, of 3 by rate"
    found = caxton("top", "--once", "--troubled", "--window", "10s", "-o", "json").json()
    assert ([one["name"] for one in found["agents"]], found["matched"], found["total"]) == (["a2"], 1, 3)
    assert found["window"]["asked_s"] == 10.0


def test_once_says_that_there_is_nothing(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("top", "--once").out.splitlines()[-1] == "No agents."
    deployed(caxton, "a")
    assert caxton("top", "--once", "--filter", "xyz").out.splitlines()[-1] == "No agent matches."


def test_window_that_was_cut_is_told(caxton: CliRunner, node: RunningNode) -> None:
    node.do(lambda fakes: fakes.stats.window.update(is_cut=True, covered_s=1.5, records=50_000))
    assert "last 1.5 s of 60 s: no more than 50,000 records of it are kept or looked at" in caxton("top", "--once").out


def test_status_warns_and_says_what_to_do(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "good", "bad")

    def worsen(fakes: FakeNode) -> None:
        fakes.stats.figures["bad"] = {"circuit": "open", "queue": 2000}
        fakes.stats.node.update(circuits={"closed": 1, "open": 1}, deadlocks=1)

    node.do(worsen)
    outcome = caxton("status")
    warnings = [line for line in outcome.out.splitlines() if line.startswith("⚠")]
    assert warnings == [
        "⚠ 1 circuit breaker open (bad): mail waits, callers are refused",
        "⚠ 1 deadlock",
    ]
    answer = caxton("status", "-o", "json").json()
    assert [one["code"] for one in answer["warnings"]] == ["open-breakers", "deadlock"]
    assert all(one["todo"] for one in answer["warnings"])


def test_status_of_a_server_that_is_well_warns_of_nothing(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "good")
    outcome = caxton("status")
    assert "⚠" not in outcome.out
    facts = {line.split("  ")[1].strip(): line for line in outcome.out.splitlines() if line.startswith("  ")}
    assert {"version", "uptime", "rate", "times", "journal", "disk", "memory", "breakers"} <= set(facts)
    assert "50 GiB free of 100 GiB" in facts["disk"]
    assert caxton("status", "-o", "json").json()["warnings"] == []


def test_status_shows_the_busiest_and_leaves_out_the_servers_own(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, *(f"a{n:02}" for n in range(23)), "native-one")
    figures(node, "native-one", type="native", rate_per_s=99.0)
    figures(node, "a22", rate_per_s=1.0)
    lines = caxton("status").out.splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("AGENT"))
    assert [line.split()[0] for line in lines[head + 1 : -1]] == ["a22", *(f"a{n:02}" for n in range(19))]
    assert lines[-1] == "23 agents, the 20 busiest are shown; 'caxton top' shows all"


def test_text_of_others_cannot_steer_the_terminal(caxton: CliRunner, node: RunningNode) -> None:
    node.do(lambda fakes: fakes.stats.node.update(version="\x1b[2J", causes=["\x1b]0;x\x07"]))
    node.do(lambda fakes: fakes.stats.incidents.append(handling("failed", "\x1b[2J", "x")))
    for command in (["top", "--once"], ["status"]):
        assert "\x1b" not in caxton(*command).out


def test_commands_but_the_live_ones_do_without_textual() -> None:
    script = (
        "import sys; from caxton.cli.main import main\n"
        "main(['--help']); main(['top', '--help']); main(['monitor'])\n"
        "sys.exit('textual' in sys.modules or 'rich.live' in sys.modules and 2)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Usage: caxton top" in done.stdout.replace("\n", "")) == (0, True), done.stderr
