"""`caxton config` about an agent or a workspace, against the real API on a real socket."""

from __future__ import annotations

import pytest

from caxton.testing.fakes.agents import EMPTY_MODULE
from tests.cli_runner import CliRunner, caxton
from tests.integration.fake_node import VIEWER_PROOF, RunningNode
from tests.integration.test_cli import node, shared_node

__all__ = ["caxton", "node", "shared_node"]

SET = ("config", "set", "--agent", "ping")


@pytest.fixture
def ping(caxton: CliRunner, node: RunningNode) -> CliRunner:
    """The command, with an agent to configure."""
    (caxton.home / "ping.wasm").write_bytes(EMPTY_MODULE)
    assert caxton("deploy", "ping.wasm").code == 0
    return caxton


def shown(caxton: CliRunner) -> dict[str, object]:
    return caxton("config", "show", "--agent", "ping", "-o", "json").json()


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--circuit-breaker.treshold=3", "did you mean --circuit-breaker.threshold?"),
        ("--retries=3", "known are --agent, --circuit-breaker.threshold, --circuit-breaker.timeout, "),
    ],
)
def test_option_that_nobody_knows_is_answered_with_those_there_are(ping: CliRunner, option: str, hint: str) -> None:
    before = shown(ping)
    outcome = ping(*SET, "--circuit-breaker.probes=2", option)
    assert (outcome.code, outcome.out) == (2, "")
    assert hint in outcome.err
    assert "code: INVALID_USAGE" in outcome.err
    assert shown(ping) == before


def test_nothing_to_change_is_a_usage_error_that_names_what_could_be(ping: CliRunner) -> None:
    outcome = ping(*SET)
    assert outcome.code == 2
    assert "--bulkhead.max-waiting" in outcome.err


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("--circuit-breaker.threshold=often", "INVALID_VALUE"),
        ("--circuit-breaker.threshold=-1", "INVALID_VALUE"),
        ("--circuit-breaker.timeout=soon", "INVALID_VALUE"),
        ("--circuit-breaker.timeout=0s", "INVALID_VALUE"),
        ("--bulkhead.max-waiting=many", "INVALID_VALUE"),
        ("--record=maybe", "INVALID_VALUE"),
        ("--resources.mailbox-bytes=1B", "INVALID_VALUE"),
    ],
)
def test_bad_value_is_refused_and_the_good_one_beside_it_does_not_count(
    ping: CliRunner, option: str, code: str
) -> None:
    before = shown(ping)
    outcome = ping(*SET, "--circuit-breaker.probes=2", option)
    assert (outcome.code, outcome.out) == (4, "")
    assert f"code: {code}" in outcome.err
    assert option.partition(".")[2].partition("=")[0].replace("-", "_") in outcome.err.replace("-", "_")
    assert shown(ping) == before


def test_agent_that_is_not_there_is_told_with_the_nearest(ping: CliRunner) -> None:
    outcome = ping("config", "set", "--agent", "pign", "--bulkhead.max-waiting=3")
    assert outcome.code == 3
    assert "did you mean 'ping'?" in outcome.err
    assert ping("config", "show", "--agent", "pign").code == 3


def test_token_that_may_only_look_may_not_change(ping: CliRunner) -> None:
    assert ping(*SET, "--bulkhead.max-waiting=3", "--token", VIEWER_PROOF).code == 6
    assert ping("config", "show", "--agent", "ping", "--token", VIEWER_PROOF).code == 0


def test_settings_are_changed_and_shown_as_they_hold(ping: CliRunner) -> None:
    outcome = ping(*SET, "--circuit-breaker.timeout=1m", "--circuit-breaker.threshold=3")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "✓ Settings of agent 'ping' hold from now on"
    assert [line.split() for line in lines[1:]] == [
        ["SETTING", "VALUE"],
        ["circuit_breaker.threshold", "3"],
        ["circuit_breaker.timeout", "60s"],
        ["circuit_breaker.probes", "1"],
        ["bulkhead.max_waiting", "1000"],
        ["resources.messages_per_s", "20000"],
        ["resources.mailbox_messages", "10000"],
        ["resources.mailbox_bytes", "16.0", "MiB"],
        ["record", "false"],
    ]
    assert ping("config", "show", "--agent", "ping").out.splitlines() == lines[1:]


def test_every_option_reaches_its_setting(ping: CliRunner) -> None:
    answer = ping(
        *SET, "--circuit-breaker.threshold=off", "--circuit-breaker.timeout=2s", "--circuit-breaker.probes=3",
        "--bulkhead.max-waiting=4", "--resources.messages-per-s=5", "--resources.mailbox-messages=6",
        "--resources.mailbox-bytes=7MB", "--record=true", "-o", "json",
    ).json()  # fmt: skip
    assert answer == {
        "name": "ping",
        "circuit_breaker": {"threshold": 0, "timeout_s": 2.0, "probes": 3},
        "bulkhead": {"max_waiting": 4},
        "resources": {"messages_per_s": 5, "mailbox_messages": 6, "mailbox_bytes": 7 << 20},
        "record": True,
    }
    assert "circuit_breaker.threshold   off\n" in ping("config", "show", "--agent", "ping").out


def test_the_word_default_gives_a_setting_its_default_again(ping: CliRunner) -> None:
    before = shown(ping)
    ping(*SET, "--circuit-breaker.timeout=2s", "--resources.mailbox-bytes=7MB", "--record=true")
    assert shown(ping) != before
    ping(*SET, "--circuit-breaker.timeout=default", "--resources.mailbox-bytes=default", "--record=default")
    assert shown(ping) == before


@pytest.mark.parametrize("other", [["--effective"], ["--data-dir", "here"]])
def test_agents_and_servers_settings_are_not_asked_for_together(ping: CliRunner, other: list[str]) -> None:
    assert ping("config", "show", "--agent", "ping", *other).code == 2


def test_status_of_an_agent_tells_about_its_circuit(ping: CliRunner) -> None:
    said = ping("agent", "status", "ping").out
    assert "closed, 0 failures in a row (opens after 5 failures in a row for 10s)" in said
    ping(*SET, "--circuit-breaker.threshold=off")
    assert "  circuit     off\n" in ping("agent", "status", "ping").out


def test_configuration_file_has_a_circuit_breaker_and_a_bulkhead(ping: CliRunner) -> None:
    text = "name: ping\ncircuit_breaker:\n  threshold: off\n  timeout: 1m\nbulkhead:\n  max_waiting: 3\n"
    (ping.home / "agent-config.yaml").write_text(text)
    assert ping("deploy", "ping.wasm", "--config", "agent-config.yaml", "--replace").code == 0
    view = ping("agent", "status", "ping", "-o", "json").json()
    assert (view["circuit_breaker"]["state"], view["circuit_breaker"]["timeout_s"]) == ("off", 60.0)
    assert view["bulkhead"]["max_waiting"] == 3


def test_mistakes_in_those_keys_are_told_with_their_line(ping: CliRunner) -> None:
    file = ping.home / "agent-config.yaml"
    for text, line in (("circuit_breaker:\n  treshold: 3\n", 2), ("bulkhead:\n\n  max_waiting: many\n", 3)):
        file.write_text(text)
        outcome = ping("deploy", "ping.wasm", "--config", "agent-config.yaml", "--replace")
        assert outcome.code == 4
        assert f"line {line}" in outcome.err


# --- a workspace -------------------------------------------------------------------------------------------------

SET_MODE = ("config", "set", "--conversations.mode")


def mode(caxton: CliRunner) -> tuple[str | None, str]:
    found = caxton("config", "show", "--workspace", "default", "-o", "json").json()
    assert found["workspace"] == "default"
    return found["conversations"]["mode"], found["conversations"]["effective_mode"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--conversations.mode=warn", "--agent", "ping"], "without --agent"),
        (["--conversations.mode=warn", "--agent", "ping", "--bulkhead.max-waiting=3"], "without --agent"),
        (["--conversations.mode=warn", "--bulkhead.max-waiting=3"], "without --agent"),
        (["--bulkhead.max-waiting=3"], "say which, with --agent"),
        (["--workspace", "default"], "--conversations.mode"),
        (["--workspace", "default", "--agent", "ping", "--bulkhead.max-waiting=3"], "--workspace goes with"),
        ([], "--conversations.mode"),
    ],
)
def test_settings_of_an_agent_and_of_a_workspace_do_not_go_together(
    ping: CliRunner, options: list[str], hint: str
) -> None:
    before = shown(ping)
    outcome = ping("config", "set", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert "code: INVALID_USAGE" in outcome.err
    assert hint in outcome.err
    assert (shown(ping), mode(ping)) == (before, (None, "enforce"))


@pytest.mark.parametrize("other", [["--effective"], ["--data-dir", "here"], ["--agent", "ping"]])
def test_workspaces_settings_are_not_asked_for_with_others(ping: CliRunner, other: list[str]) -> None:
    assert ping("config", "show", "--workspace", "default", *other).code == 2


@pytest.mark.parametrize("value", ["loose", "", "Warn"])
def test_mode_that_there_is_not_is_refused_with_those_there_are(ping: CliRunner, value: str) -> None:
    outcome = ping("config", "set", f"--conversations.mode={value}")
    assert (outcome.code, outcome.out) == (4, "")
    assert "code: INVALID_VALUE" in outcome.err
    assert "strict, enforce, warn or off" in outcome.err
    assert mode(ping) == (None, "enforce")


def test_workspace_that_is_not_there_is_not_found(ping: CliRunner) -> None:
    for command in (["config", "show"], [*SET_MODE, "off"]):
        outcome = ping(*command, "--workspace", "elsewhere")
        assert (outcome.code, "code: WORKSPACE_NOT_FOUND" in outcome.err) == (3, True)
    assert mode(ping) == (None, "enforce")


def test_token_that_may_only_look_may_not_change_the_mode(ping: CliRunner) -> None:
    assert ping(*SET_MODE, "off", "--token", VIEWER_PROOF).code == 6
    assert ping("config", "show", "--workspace", "default", "--token", VIEWER_PROOF).code == 0
    assert mode(ping) == (None, "enforce")


def test_mode_is_changed_and_shown_with_where_it_comes_from(ping: CliRunner, node: RunningNode) -> None:
    outcome = ping("config", "set", "--conversations.mode=warn")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "✓ Settings of workspace 'default' hold from now on"
    assert [line.split() for line in lines[1:]] == [
        ["SETTING", "VALUE", "SOURCE"],
        ["conversations.mode", "warn", "workspace"],
    ]
    assert ping("config", "show", "--workspace", "default").out.splitlines() == lines[1:]
    answer = ping(*SET_MODE, "strict", "--workspace", "default", "-o", "json").json()
    assert answer == {
        "workspace": "default",
        "conversations": {"mode": "strict", "effective_mode": "strict"},
        "mcp": {"expose": []},
    }
    assert node.do(lambda fakes: fakes.workspaces.changed_by) == ["admin", "admin"]


def test_tools_of_a_workspace_are_exposed_and_taken_back(ping: CliRunner) -> None:
    lines = ping("config", "set", "--mcp.expose=agent:ping, capability:sorting").out.splitlines()
    assert lines[-1].split() == ["mcp.expose", "agent:ping,", "capability:sorting", "workspace"]
    assert mode(ping) == (None, "enforce")
    for nothing in ("default", "none", ""):
        assert "mcp.expose" not in ping("config", "set", f"--mcp.expose={nothing}").out
    refused = ping("config", "set", "--mcp.expose=ping")
    assert (refused.code, "write agent:NAME or capability:NAME" in refused.err) == (4, True)


def test_the_word_default_gives_the_mode_of_the_server_again(ping: CliRunner) -> None:
    ping(*SET_MODE, "off")
    assert mode(ping) == ("off", "off")
    assert ping(*SET_MODE, "default").out.splitlines()[-1].split() == ["conversations.mode", "enforce", "server"]
    assert mode(ping) == (None, "enforce")
