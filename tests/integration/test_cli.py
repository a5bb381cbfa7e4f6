"""The command against the real API on a real socket; what stands behind the API is in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caxton.cli.agent import complete_agent
from caxton.cli.contexts import Context, Contexts, write_contexts
from caxton.core.views.agents import AgentSpec
from caxton.testing.fakes.agents import EMPTY_MODULE
from tests.cli_runner import caxton
from tests.integration.fake_node import ADMIN_PROOF, VIEWER_PROOF, RunningNode, running_node
from tests.integration.scripted_server import answer, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner

__all__ = ["caxton"]


@pytest.fixture(scope="module")
def shared_node() -> Iterator[RunningNode]:
    with running_node() as node:
        yield node


@pytest.fixture
def node(shared_node: RunningNode, caxton: CliRunner) -> RunningNode:
    """A node without agents that the contexts file knows; the same socket for all tests."""
    shared_node.do(_empty)
    write_contexts(Contexts(current="local", contexts={"local": Context(server=shared_node.url, token=ADMIN_PROOF)}))
    (caxton.home / "ping.wasm").write_bytes(EMPTY_MODULE)
    return shared_node


def _empty(fakes: FakeNode) -> None:
    fakes.agents.views.clear()
    fakes.messages.kept.clear()
    fakes.logs.lines.clear()
    for names in (fakes.messages.full, fakes.messages.silent, fakes.messages.failing):
        names.clear()
    fakes.workspaces.mode = None
    fakes.workspaces.changed_by.clear()
    fakes.server.is_ready = True


def described(problem: dict[str, Any]) -> tuple[Any, ...]:
    return problem["code"], problem["status"], len(problem["trace_id"])


# --- no way in ---------------------------------------------------------------------------------------------------


def test_server_that_is_not_running_is_told_with_its_address_and_what_to_do(caxton: CliRunner) -> None:
    outcome = caxton("agent", "list", "--server", "http://127.0.0.1:9")
    assert outcome.code == 7
    assert outcome.out == ""
    assert outcome.err.startswith("✗ no Caxton server answers at http://127.0.0.1:9")
    assert "code: SERVER_UNREACHABLE" in outcome.err
    assert "caxton server start" in outcome.err


def test_wrong_token_is_refused_with_its_trace_id(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("agent", "list", "--token", "wrong")
    assert outcome.code == 6
    assert "code: UNAUTHORIZED  trace id: " in outcome.err
    assert "wrong" not in outcome.err


def test_no_token_is_refused(caxton: CliRunner, node: RunningNode) -> None:
    write_contexts(Contexts(current="local", contexts={"local": Context(server=node.url)}))
    assert described(caxton("status", "-o", "json").problem()) == ("UNAUTHORIZED", 401, 32)


def test_token_that_does_not_allow_it_is_told_so(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("deploy", "ping.wasm", "--token", VIEWER_PROOF)
    assert outcome.code == 6
    assert "code: FORBIDDEN" in outcome.err


# --- deploying ---------------------------------------------------------------------------------------------------


def test_deployed_agent_is_named_after_its_file(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("deploy", "ping.wasm")
    assert (outcome.code, outcome.out, outcome.err) == (0, "✓ Agent 'ping' deployed and healthy\n", "")
    assert node.do(lambda fakes: fakes.agents.modules["ping"]) == EMPTY_MODULE


def test_options_of_a_deployment_reach_the_server(caxton: CliRunner, node: RunningNode) -> None:
    view = caxton(
        "deploy", "ping.wasm", "--name", "worker", "--replicas", "3", "--memory", "16MB", "--timeout", "2s",
        "--capability", "sorting", "--capability", "counting", "-o", "json",
    ).json()  # fmt: skip
    assert (view["name"], view["replicas"], view["memory_limit_bytes"]) == ("worker", 3, 16 << 20)
    assert (view["timeout_s"], view["capabilities"]) == (2.0, ["sorting", "counting"])


def test_configuration_file_describes_the_agent(caxton: CliRunner, node: RunningNode) -> None:
    text = (
        "name: order-processor\nversion: 1.0.0\nruntime: wasm\ncapabilities:\n  - orders\nresources:\n  memory: 128MB\n"
    )
    (caxton.home / "agent-config.yaml").write_text(text)
    outcome = caxton("agent", "deploy", "ping.wasm", "--config", "agent-config.yaml", "--replicas", "3")
    assert outcome.out == "✓ Agent 'order-processor' deployed and healthy\n"
    view = caxton("agent", "status", "order-processor", "-o", "json").json()
    assert (view["version"], view["replicas"], view["memory_limit_bytes"]) == ("1.0.0", 3, 128 << 20)


def test_mistake_in_a_configuration_file_is_told_with_its_line(caxton: CliRunner, node: RunningNode) -> None:
    (caxton.home / "agent-config.yaml").write_text("name: a\nreplics: 3\n")
    outcome = caxton("agent", "deploy", "ping.wasm", "--config", "agent-config.yaml")
    assert outcome.code == 4
    assert "agent-config.yaml, line 2" in outcome.err
    assert "did you mean 'replicas'?" in outcome.err
    assert node.do(lambda fakes: fakes.agents.views) == {}


def test_file_that_is_no_module_gets_the_servers_answer(caxton: CliRunner, node: RunningNode) -> None:
    (caxton.home / "text.wasm").write_text("(module)")
    outcome = caxton("deploy", "text.wasm")
    assert outcome.code == 4
    assert "code: INVALID_WASM  trace id: " in outcome.err


def test_empty_file_is_no_module_either(caxton: CliRunner, node: RunningNode) -> None:
    (caxton.home / "empty.wasm").write_bytes(b"")
    assert described(caxton("deploy", "empty.wasm", "-o", "json").problem())[:2] == ("INVALID_WASM", 400)


def test_missing_file_is_told_before_a_server_is_asked(caxton: CliRunner) -> None:
    outcome = caxton("deploy", "nowhere.wasm", "--server", "http://127.0.0.1:9")
    assert outcome.code == 3
    assert "code: FILE_NOT_FOUND" in outcome.err


def test_taken_name_is_a_conflict_that_names_the_way_out(caxton: CliRunner, node: RunningNode) -> None:
    caxton("deploy", "ping.wasm")
    outcome = caxton("deploy", "ping.wasm")
    assert outcome.code == 5
    assert "code: AGENT_ALREADY_EXISTS" in outcome.err
    assert "--replace" in outcome.err


def test_replace_deploys_the_first_time_and_makes_a_revision_after(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("deploy", "ping.wasm", "--replace").out == "✓ Agent 'ping' deployed and healthy\n"
    assert caxton("deploy", "ping.wasm", "--replace").out == "✓ Agent 'ping' (revision 2) deployed and healthy\n"


# --- agents ------------------------------------------------------------------------------------------------------


def deployed(caxton: CliRunner, *names: str) -> None:
    for name in names:
        assert caxton("deploy", "ping.wasm", "--name", name).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ["agent", "status", "pign"],
        ["agent", "stop", "pign"],
        ["agent", "start", "pign"],
        ["agent", "remove", "pign"],
        ["agent", "scale", "pign", "--replicas", "2"],
        ["agent", "logs", "pign"],
        ["stop", "--agent", "pign"],
        ["scale", "--agent", "pign", "--replicas", "2"],
        ["logs", "--agents", "pign,ping"],
        ["logs", "--agent", "pign", "--follow"],
    ],
)
def test_unknown_agent_is_answered_with_the_nearest_one(
    caxton: CliRunner, node: RunningNode, command: list[str]
) -> None:
    deployed(caxton, "ping")
    outcome = caxton(*command)
    assert outcome.code == 3
    assert "code: AGENT_NOT_FOUND" in outcome.err
    assert "did you mean 'ping'?" in outcome.err


@pytest.mark.parametrize("name", ["a/b", "..", "a" * 300, "a\nb", "ä"])
def test_name_that_is_none_is_refused(caxton: CliRunner, node: RunningNode, name: str) -> None:
    assert caxton("agent", "status", name, "-o", "json").problem()["code"] == "INVALID_NAME"


def test_status_of_an_agent_begins_with_its_health(caxton: CliRunner, node: RunningNode) -> None:
    caxton("deploy", "ping.wasm", "--replicas", "3")
    outcome = caxton("agent", "status", "ping")
    assert outcome.out.splitlines()[0] == "✓ Running (3/3 instances healthy)"
    assert "\x1b" not in outcome.out


def test_agent_stops_and_starts(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    assert caxton("agent", "stop", "ping").out == "✓ Agent 'ping' is stopped\n"
    assert caxton("agent", "status", "ping").out.startswith("ℹ Stopped (0/1 instances healthy)\n")  # noqa: RUF001
    assert caxton("agent", "stop", "ping").code == 5
    assert caxton("agent", "start", "ping").out == "✓ Agent 'ping' is running\n"
    assert caxton("stop", "--agent", "ping", "--force").code == 0


def test_agent_is_scaled_and_removed(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    assert caxton("scale", "--agent", "ping", "--replicas", "4").out == "✓ Agent 'ping' has 4 instances, 4 healthy\n"
    assert caxton("agent", "remove", "ping").out == "✓ Agent 'ping' removed\n"
    assert caxton("agent", "list", "-o", "json").json() == {"agents": [], "total": 0}


def test_agents_are_listed_as_a_table_without_colours_in_a_pipe(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping", "pong")
    outcome = caxton("agents", "list")
    header, *rows, total = outcome.out.splitlines()
    assert header.split() == ["NAME", "STATUS", "HEALTHY", "UPTIME", "HANDLED", "FAILED", "MAIL", "CAPABILITIES"]
    assert [row.split()[:3] for row in rows] == [["ping", "running", "1/1"], ["pong", "running", "1/1"]]
    assert total == "2 agents"
    assert "\x1b" not in outcome.out


def test_agents_as_json_are_those_of_the_api(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping", "pong")
    answer = caxton("-o", "json", "agent", "list", "--status", "running").json()
    assert [agent["name"] for agent in answer["agents"]] == ["ping", "pong"]
    assert answer["total"] == 2


def test_list_without_agents_says_so(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("agent", "list")
    assert (outcome.code, outcome.out) == (0, "No agents.\n")


def test_agents_names_are_completed_for_the_shell(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping", "pong", "other")
    assert complete_agent("p") == ["ping", "pong"]
    write_contexts(Contexts(current="x", contexts={"x": Context(server="http://127.0.0.1:9")}))
    assert complete_agent("p") == []


# --- messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("hello", "quotes"),
        ("{'a': 1}", "quotes"),
        ('{"a": 1, "a": 2}', "twice"),
        ("NaN", "NaN"),
        ("[" * 1000 + "]" * 1000, "deep"),
        ("", "not JSON"),
    ],
)
def test_content_that_is_no_json_is_refused_by_name(
    caxton: CliRunner, node: RunningNode, content: str, word: str
) -> None:
    deployed(caxton, "ping")
    outcome = caxton("message", "send", "--to", "ping", "--content", content)
    assert outcome.code == 4
    assert "--content" in outcome.err
    assert word in outcome.err
    assert node.do(lambda fakes: fakes.messages.kept) == {}


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [
        (["--performative", "reqest"], 4, "INVALID_MESSAGE"),
        (["--content", "@nowhere.json"], 3, "FILE_NOT_FOUND"),
        (["--wait-reply", "--timeout", "soon"], 4, "INVALID_VALUE"),
        (["--wait-reply", "--timeout", "0s"], 4, "INVALID_VALUE"),
        (["--wait-reply", "--timeout", "2h"], 4, "INVALID_VALUE"),
        (["--ttl", "soon"], 4, "INVALID_VALUE"),
        (["--to", "no spaces"], 4, "INVALID_NAME"),
        (["--to", "nobody"], 3, "UNKNOWN_RECEIVER"),
    ],
)
def test_bad_option_of_a_message_is_refused(
    caxton: CliRunner, node: RunningNode, options: list[str], exit_code: int, code: str
) -> None:
    deployed(caxton, "ping")
    outcome = caxton("message", "send", "--to", "ping", *options, "-o", "json")
    assert (outcome.code, outcome.problem()["code"]) == (exit_code, code)


def test_message_over_the_limit_is_refused_before_it_is_sent(caxton: CliRunner, node: RunningNode) -> None:
    (caxton.home / "big.json").write_text(json.dumps("x" * (2 << 20)))
    assert caxton("message", "send", "--to", "ping", "--content", "@big.json").code == 4


def test_sent_message_is_accepted_with_a_receipt(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    outcome = caxton("message", "send", "--to", "ping", "--content", '{"text": "hi"}', "--conversation-id", "c-42")
    assert outcome.code == 0
    assert outcome.out.startswith("✓ Message m-")
    assert outcome.out.endswith(" accepted, conversation c-42\n")
    receipt = caxton("message", "send", "--to", "ping", "-o", "json").json()
    assert (receipt["status"], receipt["durability"]) == ("accepted", "fsync")


def test_reply_is_waited_for_and_its_content_printed(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    send = ["message", "send", "--to", "ping", "--content", '{"text": "größe"}', "--wait-reply"]
    outcome = caxton(*send, "--conversation-id", "c-1")
    assert outcome.out == '✓ inform from ping, conversation c-1\n{"text": "größe"}\n'
    assert caxton(*send, "--quiet").out == '{"text": "größe"}\n'
    assert caxton(*send, "-o", "json").json()["performative"] == "inform"


def test_message_can_go_to_a_capability(caxton: CliRunner, node: RunningNode) -> None:
    caxton("deploy", "ping.wasm", "--capability", "sorting")
    outcome = caxton("message", "send", "--capability", "sorting", "--content", "[3, 1]", "--wait-reply", "-q")
    assert (outcome.code, outcome.out) == (0, "[3, 1]\n")


def test_message_says_who_shall_be_chosen_where_it_belongs_and_who_gets_the_answer(
    caxton: CliRunner, node: RunningNode
) -> None:
    caxton("deploy", "ping.wasm", "--capability", "sorting")
    options = ["--routing-strategy", "least-loaded", "--parent-conversation", "c-1", "--conversation-id", "c-2"]
    send = ["message", "send", "--capability", "sorting", *options]
    for answers_to in (["a"], ["a", "b"]):
        outcome = caxton(*send, *(word for name in answers_to for word in ("--reply-to", name)))
        assert outcome.code == 0
        message = json.loads(node.do(lambda fakes: fakes.messages.kept["c-2"][-2]))
        assert (message["routing_strategy"], message["parent_conversation"]) == ("least-loaded", "c-1")
        assert message["reply_to"] == (answers_to if len(answers_to) > 1 else answers_to[0])


def test_routing_strategy_without_a_capability_is_a_misuse(caxton: CliRunner, node: RunningNode) -> None:
    outcome = caxton("message", "send", "--to", "ping", "--routing-strategy", "best")
    assert outcome.code == 2
    assert "--capability" in outcome.err


@pytest.mark.parametrize("performative", ["failure", "refuse", "not-understood"])
def test_answer_that_says_no_is_shown_and_is_a_failure(caxton: CliRunner, performative: str) -> None:
    said = {"performative": performative, "sender": "ping", "content": "no", "conversation_id": "c-1"}
    with scripted(answer(json.dumps(said).encode())) as server:
        outcome = caxton("message", "send", "--to", "ping", "--wait-reply", "--server", server.url)
    assert (outcome.code, outcome.out) == (9, f'✗ {performative} from ping, conversation c-1\n"no"\n')


def test_reply_that_never_comes_is_a_timeout(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    node.do(lambda fakes: fakes.messages.silent.add("ping"))
    outcome = caxton("message", "send", "--to", "ping", "--wait-reply", "--timeout", "1s")
    assert outcome.code == 8
    assert "code: REPLY_TIMEOUT" in outcome.err


def test_agent_that_fails_is_told_with_its_functions(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    node.do(lambda fakes: fakes.messages.failing.add("ping"))
    outcome = caxton("message", "send", "--to", "ping", "--wait-reply")
    assert outcome.code == 9
    assert "in: handle_message" in outcome.err


def test_full_mailbox_is_a_conflict(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    node.do(lambda fakes: fakes.messages.full.add("ping"))
    assert caxton("message", "send", "--to", "ping").code == 5


def test_conversation_is_listed_in_order(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    caxton("message", "send", "--to", "ping", "--content", '"hi"', "--conversation-id", "c-7")
    outcome = caxton("message", "list", "--conversation-id", "c-7")
    assert [row.split()[2:5] for row in outcome.out.splitlines()[1:-1]] == [
        ["client:admin", "ping", "request"],
        ["ping", "client:admin", "inform"],
    ]
    answer = caxton("message", "list", "--conversation-id", "c-7", "-o", "json").json()
    assert [message["content"] for message in answer["messages"]] == ["hi", "hi"]


def test_conversation_nobody_knows_is_empty(caxton: CliRunner, node: RunningNode) -> None:
    assert caxton("message", "list", "--conversation-id", "c-none").out == "No messages.\n"


# --- logs and status ---------------------------------------------------------------------------------------------


def test_log_lines_have_their_agents_in_front(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping", "pong", "other")

    def write(fakes: FakeNode) -> None:
        fakes.logs.write("ping", "Sending ping to pong")
        fakes.logs.write("other", "not wanted")
        fakes.logs.write("pong", "Received ping, sending pong back")

    node.do(write)
    outcome = caxton("logs", "--agents", "ping,pong")
    assert outcome.out == "[ping] Sending ping to pong\n[pong] Received ping, sending pong back\n"
    assert caxton("agent", "logs", "ping").out == "[ping] Sending ping to pong\n"
    assert len(caxton("logs").out.splitlines()) == 3


def test_logs_can_be_cut_by_level_and_number(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")

    def write(fakes: FakeNode) -> None:
        for level in ("debug", "warn", "error"):
            fakes.logs.write("ping", level, level=level)

    node.do(write)
    assert caxton("logs", "--level", "warn").out == "[ping] warn\n[ping] error\n"
    assert caxton("logs", "--limit", "1").out == "[ping] error\n"


@pytest.mark.parametrize("since", ["soon", "-1h", ""])
def test_time_that_is_none_is_refused(caxton: CliRunner, node: RunningNode, since: str) -> None:
    assert caxton("logs", "--since", since).code == 4


@pytest.mark.parametrize("since", ["yesterday", "1 hour ago", "1x", "-5m", "nan", "1h30", "9" * 30 + "d", "2026-11-20"])
def test_nonsense_for_a_time_is_told_with_how_to_write_one(caxton: CliRunner, node: RunningNode, since: str) -> None:
    outcome = caxton("logs", "--since", since)
    assert outcome.code == 4
    assert "--since" in outcome.err
    assert "write it like 5s, 250ms or 2m" in outcome.err


def test_logs_can_be_searched_by_pattern_and_conversation(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping", "pong")

    def write(fakes: FakeNode) -> None:
        fakes.logs.write("ping", "order-1 failed", conversation_id="c-1")
        fakes.logs.write("ping", "order-2 done", conversation_id="c-1")
        fakes.logs.write("pong", "order-3 failed", conversation_id="c-2")

    node.do(write)
    assert caxton("logs", "--grep", r"order-\d failed$").out == "[ping] order-1 failed\n[pong] order-3 failed\n"
    assert caxton("logs", "--conversation-id", "c-1", "--grep", "failed").out == "[ping] order-1 failed\n"
    assert caxton("agent", "logs", "pong", "--grep", "(?i)ORDER", "--ids").out == (
        "[pong] order-3 failed conversation=c-2\n"
    )


@pytest.mark.parametrize("pattern", ["(", "(?=x)", "", "x" * 300])
@pytest.mark.parametrize("follow", [[], ["--follow"]], ids=["once", "follow"])
def test_pattern_that_is_none_is_refused_with_what_is_wrong(
    caxton: CliRunner, node: RunningNode, pattern: str, follow: list[str]
) -> None:
    outcome = caxton("logs", "--grep", pattern, *follow)
    assert outcome.code == 4
    assert "grep" in outcome.err


def test_silence_is_told_apart_from_a_filter_that_leaves_nothing(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    silent = caxton("logs", "--agent", "ping")
    assert (silent.code, silent.out) == (0, "")
    assert "nothing was logged in the last 7 days" in silent.err
    filtered = caxton("logs", "--since", "0s", "--level", "error", "--grep", "x\x1b")
    assert (filtered.code, filtered.out) == (0, "")
    assert "no line is left with --since 0s --level error --grep x\\x1b" in filtered.err
    assert caxton("logs", "-o", "json").err == caxton("logs", "-q").err == ""


def test_logs_as_json_have_one_object_in_each_line(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    node.do(lambda fakes: fakes.logs.write("ping", "one\ntwo"))
    lines = caxton("logs", "-o", "json").out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["one\ntwo"]


def _caxton_process(home: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "caxton", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=home,
    )


def test_followed_log_shows_lines_as_they_come_until_interrupted(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    node.do(lambda fakes: fakes.logs.write("ping", "before"))
    with _caxton_process(caxton.home, "logs", "--agent", "ping", "--follow") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "[ping] before\n"
        node.do(lambda fakes: fakes.logs.write("ping", "after"))
        assert process.stdout.readline() == "[ping] after\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == ""


def test_status_shows_server_and_agents(caxton: CliRunner, node: RunningNode) -> None:
    deployed(caxton, "ping")
    lines = caxton("status").out.splitlines()
    assert lines[0] == f"✓ Server running at http://localhost:{node.url.rpartition(':')[2]}"
    assert any(line.startswith("ping") for line in lines)
    answer = caxton("status", "-o", "json").json()
    assert (answer["server"]["status"], answer["url"], len(answer["agents"])) == ("ready", node.url, 1)
    assert caxton("server", "status").out.splitlines()[0] == lines[0]


# --- doctor ------------------------------------------------------------------------------------------------------


def checks(caxton: CliRunner, *options: str) -> dict[str, dict[str, Any]]:
    outcome = caxton("doctor", "-o", "json", *options)
    answer = outcome.json()
    assert outcome.code == (0 if answer["ok"] else 1)
    return {check["name"]: check for check in answer["checks"]}


def test_doctor_finds_a_healthy_machine_and_server_healthy(caxton: CliRunner, node: RunningNode) -> None:
    port = node.url.rpartition(":")[2]
    found = checks(caxton, "--port", port)
    assert {name for name, check in found.items() if check["verdict"] == "fail"} == set()
    assert found["token"]["verdict"] == "ok"
    assert "our server" in found["port"]["finding"]


def test_doctor_names_a_wrong_token_and_open_files_of_others(caxton: CliRunner, node: RunningNode) -> None:
    data_dir = caxton.home / "open"
    data_dir.mkdir(mode=0o755)
    data_dir.chmod(0o755)
    found = checks(caxton, "--token", "wrong", "--data-dir", str(data_dir))
    assert found["token"]["verdict"] == "fail"
    assert found["data directory"]["verdict"] == "fail"
    assert found["data directory"]["advice"] == f"chmod 700 {data_dir}"
    caxton.contexts_path.chmod(0o644)
    found = checks(caxton, "--port", node.url.rpartition(":")[2])
    assert (found["contexts file"]["verdict"], found["token"]["verdict"]) == ("fail", "ok")
    assert "our server" in found["port"]["finding"]


def test_doctor_with_a_damaged_contexts_file_asks_the_server_that_is_named(
    caxton: CliRunner, node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    caxton.contexts_path.write_text("{")
    monkeypatch.setenv("CAXTON_SERVER", node.url)
    monkeypatch.setenv("CAXTON_TOKEN", ADMIN_PROOF)
    found = checks(caxton, "--port", node.url.rpartition(":")[2])
    assert (found["contexts file"]["verdict"], found["token"]["verdict"]) == ("fail", "ok")
    assert {"clock", "ready"} <= set(found)
    assert "our server" in found["port"]["finding"]
    monkeypatch.delenv("CAXTON_SERVER")
    assert "token" not in checks(caxton)


def test_doctor_looks_at_the_certificate_that_is_configured(
    caxton: CliRunner, node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "certificate" not in checks(caxton)
    monkeypatch.setenv("CAXTON_TLS_CERT_PATH", str(caxton.home / "missing.pem"))
    monkeypatch.setenv("CAXTON_TLS_KEY_PATH", str(caxton.home / "missing.key"))
    assert checks(caxton)["certificate"]["verdict"] == "fail"


def test_status_asks_for_the_list_of_agents_only_to_print_it(
    caxton: CliRunner, node: RunningNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caxton.client import CaxtonClient

    def refuse(_client: CaxtonClient) -> None:
        raise AssertionError

    monkeypatch.setattr(CaxtonClient, "agents", refuse)
    assert caxton("status").code == 0


def test_doctor_without_a_server_warns_and_finds_a_taken_port(caxton: CliRunner, shared_node: RunningNode) -> None:
    found = checks(caxton, "--server", "http://127.0.0.1:9", "--port", shared_node.url.rpartition(":")[2])
    assert found["server"]["verdict"] == "warn"
    assert found["port"]["verdict"] == "fail"


def test_doctor_tells_people_what_to_do_next(caxton: CliRunner) -> None:
    outcome = caxton("doctor", "--server", "http://127.0.0.1:9", "--port", "0")
    assert outcome.code == 0
    assert "✓ python" in outcome.out
    assert "next: caxton server start" in outcome.out


# --- the client's own conveniences -------------------------------------------------------------------------------


def test_invoke_returns_the_answer_as_python_values(node: RunningNode) -> None:
    from caxton.client import CaxtonClient

    with CaxtonClient(node.url, ADMIN_PROOF) as client:
        client.deploy(AgentSpec(name="echo"), EMPTY_MODULE)
        reply = client.invoke("echo", {"a": [1, None]})
        assert (reply.sender, reply.performative, reply.content) == ("echo", "inform", {"a": [1, None]})
        assert client.replace(AgentSpec(name="echo", replicas=2)).revision == 2
        assert client.ready() is True
        node.do(lambda fakes: setattr(fakes.server, "is_ready", False))
        assert client.ready() is False
