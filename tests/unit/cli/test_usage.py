"""What happens to command lines that cannot be understood, and what every command offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.main import get_command

from caxton.cli.main import app
from caxton.version import VERSION

if TYPE_CHECKING:
    from tests.cli_runner import CliRunner


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["agent", "lst"], "caxton agent list"),
        (["deply", "x.wasm"], "caxton deploy"),
        (["sever", "start"], "caxton server"),
        (["lst"], "caxton agent list"),
        (["agents", "remov"], "caxton agents remove"),
    ],
)
def test_mistyped_command_is_answered_with_the_nearest_one(caxton: CliRunner, typed: list[str], meant: str) -> None:
    outcome = caxton(*typed)
    assert outcome.code == 2
    assert f"did you mean '{meant}'?" in outcome.err
    assert outcome.out == ""


def test_command_like_no_other_gets_no_suggestion(caxton: CliRunner) -> None:
    outcome = caxton("xyzzy")
    assert outcome.code == 2
    assert "did you mean" not in outcome.err
    assert "next: caxton --help" in outcome.err


def test_mistyped_option_is_answered_with_the_nearest_one(caxton: CliRunner) -> None:
    outcome = caxton("deploy", "--nam", "ping", "x.wasm")
    assert outcome.code == 2
    assert "did you mean --name?" in outcome.err


@pytest.mark.parametrize(
    "typed",
    [
        ["deploy"],
        ["scale", "--agent", "ping"],
        ["scale", "--agent", "ping", "--replicas", "0"],
        ["scale", "--agent", "ping", "--replicas", "many"],
        ["agent", "status"],
        ["agent", "status", "a", "b"],
        ["agent", "list", "--output", "xml"],
        ["serve", "--port", "65536"],
        ["logs", "--level", "loud"],
        ["logs", "--agents", ","],
        ["message", "list"],
        ["message", "send", "--content", "1"],
        ["message", "send", "--to", "a", "--capability", "b"],
        ["--output"],
    ],
)
def test_incomplete_or_contradicting_arguments_are_usage_errors(caxton: CliRunner, typed: list[str]) -> None:
    outcome = caxton(*typed)
    assert outcome.code == 2
    assert "code: INVALID_USAGE" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        (["replay", "--conversation-id", "\udcff"], "--conversation-id"),
        (["logs", "--grep", "\udcff"], "--grep"),
        (["logs", "--agent", "ping", "--agent", "\udcff"], "--agent"),
        (["sniff", "--conversation", "\udcff"], "--conversation-id"),
        (["conversation", "show", "\udcff"], "ID"),
        (["--token", "\udcff", "status"], "--token"),
    ],
)
def test_argument_that_is_no_text_is_a_usage_error(caxton: CliRunner, typed: list[str], where: str) -> None:
    outcome = caxton(*typed)
    assert (outcome.code, outcome.out) == (2, "")
    assert rf"{where} is no UTF-8: b'\xff'" in outcome.err
    assert "code: INVALID_USAGE" in outcome.err


@pytest.mark.parametrize("typed", [["deploy", "\udcff"], ["message", "send", "--to", "a", "--content", "@\udcff"]])
def test_name_of_a_file_may_be_any_bytes(caxton: CliRunner, typed: list[str]) -> None:
    assert "code: FILE_NOT_FOUND" in caxton(*typed).err


@pytest.mark.parametrize("option", [["--output", "json"], ["--output=json"], ["-o", "json"]])
def test_usage_error_is_a_problem_object_when_json_is_wanted(caxton: CliRunner, option: list[str]) -> None:
    problem = caxton(*option, "agent", "lst").problem()
    assert problem == {
        "type": "urn:caxton:error:INVALID_USAGE",
        "title": "Invalid usage",
        "status": 0,
        "detail": "there is no command 'caxton agent lst'; did you mean 'caxton agent list'?",
        "code": "INVALID_USAGE",
        "trace_id": "",
        "instance": None,
        "details": {"command": "caxton agent"},
    }


@pytest.mark.parametrize("typed", [["version"], ["--version"], ["version", "--quiet"]])
def test_version_is_printed(caxton: CliRunner, typed: list[str]) -> None:
    outcome = caxton(*typed)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"caxton {VERSION}\n", "")


@pytest.mark.parametrize(
    "typed", [["version", "--output", "json"], ["--output", "json", "version"], ["-o", "json", "--version"]]
)
def test_global_options_count_before_and_after_the_command(caxton: CliRunner, typed: list[str]) -> None:
    assert caxton(*typed).json() == {"version": VERSION}


def test_last_word_on_an_option_has_the_place_nearest_to_the_command(caxton: CliRunner) -> None:
    outcome = caxton("--output", "json", "version", "--output", "table")
    assert outcome.out == f"caxton {VERSION}\n"


def test_bare_command_shows_how_to_begin(caxton: CliRunner) -> None:
    outcome = caxton()
    assert outcome.code == 0
    assert "caxton server start" in outcome.out


def test_noun_without_verb_shows_its_help_and_is_a_usage_error(caxton: CliRunner) -> None:
    outcome = caxton("agent")
    assert outcome.code == 2
    assert "remove" in outcome.out


def test_every_command_has_help_with_an_example(caxton: CliRunner) -> None:
    for path in _paths(get_command(app), []):
        outcome = caxton(*path, "--help")
        assert outcome.code == 0, path
        assert "Examples:" in outcome.out, path
        assert " ".join(["$ caxton", *path]) in outcome.out, path


def _paths(group: Any, above: list[str]) -> list[list[str]]:
    context = typer.Context(group)
    found: list[list[str]] = []
    for name in group.list_commands(context):
        below = group.get_command(context, name)
        path = [*above, name]
        found += _paths(below, path) if hasattr(below, "list_commands") else [path]
    return found
