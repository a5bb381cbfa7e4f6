from __future__ import annotations

import json

import pytest

from caxton.cli.failures import MAX_LOG_LINES, report
from caxton.cli.output import Screen
from caxton.client import ApiProblem
from caxton.core.errors.agents import AgentFailed
from caxton.core.views.problem import Problem


def problem(**changes: object) -> ApiProblem:
    facts: dict[str, object] = {
        "type": "urn:caxton:error:AGENT_NOT_FOUND",
        "title": "Agent not found",
        "status": 404,
        "detail": "there is no agent 'x'",
        "code": "AGENT_NOT_FOUND",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    return ApiProblem(Problem(**facts | changes))  # type: ignore[arg-type]


def test_refusal_is_told_with_code_and_trace_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Screen(), problem()) == 3
    assert capsys.readouterr().err == (
        "✗ there is no agent 'x'\n  code: AGENT_NOT_FOUND  trace id: 0af7651916cd43dd8448eb211c80319c\n"
    )


def test_json_has_the_servers_own_problem_object(capsys: pytest.CaptureFixture[str]) -> None:
    report(Screen(as_json=True), problem(details={"name": "x"}))
    shown = json.loads(capsys.readouterr().err)
    assert (shown["status"], shown["details"], shown["trace_id"]) == (404, {"name": "x"}, problem().trace_id)


def test_text_of_the_server_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(Screen(), problem(detail="\x1b[2Jgone\nnext", details={"log": ["\x1b[31m"], "functions": ["f\x07"]}))
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.startswith("✗ \\x1b[2Jgone\\nnext\n")


def test_only_the_end_of_a_long_log_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"line {number}" for number in range(100)]
    assert report(Screen(), AgentFailed("a", "it trapped", trap="unreachable", functions=["f", "g"], log=lines)) == 9
    shown = capsys.readouterr().err.splitlines()
    assert shown[2] == "  in: f < g"
    assert shown[3:] == [f"  log: {line}" for line in lines[-MAX_LOG_LINES:]]


def test_refusal_of_the_system_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Screen(), PermissionError(13, "Permission denied", "/some/file")) == 1
    assert capsys.readouterr().err == "✗ the system refused ('/some/file'): Permission denied\n  code: SYSTEM_ERROR\n"


def test_fault_of_our_own_is_shown_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("oops")
    assert report(Screen(), caught.value) == 1
    shown = capsys.readouterr().err
    assert "code: INTERNAL_ERROR" in shown
    assert "test_failures.py" in shown
